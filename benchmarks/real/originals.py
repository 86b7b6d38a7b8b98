"""Turn data sets as their publishers offer them into the files that the tables are made of.

Plays are those of some listeners, drawn by hash, and the newest of each.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

LISTENERS, NEWEST = 3000, 300
# for plays: listener, artist and track of each, and what orders a listener's
_LASTFM_1K = """
SELECT "0" AS listener, "3" AS artist, coalesce("4", "3" || ' - ' || "5") AS track,
    "1" AS moment, 0 AS place
FROM read_csv('*/userid-timestamp-*.tsv', header=false, delim='\t', quote='',
    names=['0', '1', '2', '3', '4', '5'], all_varchar=true)
"""
_30MUSIC = r"""
WITH lines AS (
    SELECT line[1] AS kind, line[2] AS id, line[3] AS moment,
        regexp_extract(line[4] || ' ' || coalesce(line[5], ''), '\}\s+(\{.*)', 1) AS linked
    FROM (SELECT string_split(line, chr(9)) AS line
        FROM read_csv(['**/sessions.idomaar', '**/tracks.idomaar'],
            columns={'line': 'VARCHAR'}, header=false, delim='\x01', quote='', escape=''))
), artists AS (
    SELECT id, linked ->> '$.artists[0].id' AS artist FROM lines WHERE kind = 'track'
), plays AS (
    SELECT linked ->> '$.subjects[0].id' AS listener, moment::BIGINT AS moment,
        unnest(linked ->> '$.objects[*].id') AS track,
        generate_subscripts(linked ->> '$.objects[*].id', 1) AS place
    FROM lines WHERE kind = 'event.session'
)
SELECT listener, artist, track, moment, place FROM plays JOIN artists ON id = track
"""
_YAMBDA = """
SELECT uid AS listener, artist_id AS artist, item_id AS track, timestamp AS moment, 0 AS place
FROM 'listens.parquet'
JOIN (SELECT item_id, min(artist_id) AS artist_id FROM 'artist_item_mapping.parquet'
    GROUP BY item_id) USING (item_id)
WHERE played_ratio_pct >= 50
"""
_PLAYS = """
WITH plays AS ({rows}),
people AS (SELECT DISTINCT listener FROM plays ORDER BY hash(listener) LIMIT {listeners})
SELECT dense_rank() OVER (ORDER BY listener) AS listener,
    row_number() OVER (PARTITION BY listener ORDER BY moment, place) AS position,
    dense_rank() OVER (ORDER BY track) AS track, dense_rank() OVER (ORDER BY artist) AS artist
FROM plays SEMI JOIN people USING (listener)
QUALIFY row_number() OVER (PARTITION BY listener ORDER BY moment DESC, place DESC) <= {newest}
"""
_MOVIELENS = """
SELECT "0" AS user, "1" AS item, greatest("2" - 3, 0) AS level,
    hash("0", "1") % 5 + 1 AS fold
FROM read_csv('*/ratings.dat', header=false, delim='::', names=['0', '1', '2', '3'])
"""


def _plays(rows: str) -> str:
    return _PLAYS.format(rows=rows, listeners=LISTENERS, newest=NEWEST)


# of each file the downloads, and the query that makes its table of them
ORIGINALS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "plays_lastfm.tsv.gz": (("lastfm-dataset-1K.tar.gz",), _plays(_LASTFM_1K)),
    "plays_30music.tsv.gz": (("ThirtyMusic.tar.gz",), _plays(_30MUSIC)),
    "plays_yambda.tsv.gz": (
        ("listens.parquet", "artist_item_mapping.parquet"),
        _plays(_YAMBDA),
    ),
    "movielens1m_folds.tsv.gz": (("ml-1m.zip",), _MOVIELENS),
}


def find(name: str, data: Path, out: Path) -> Path:
    """Find a file of a table, or make it in a folder from the download, once.

    Args:
        name: The file's.
        data: The folder of files and downloads.
        out: Takes what is made.

    Returns:
        Its path, where nothing is if neither it nor the download is there.
    """
    files, query = ORIGINALS.get(name, ((), ""))
    downloads = [data / file for file in files]
    target = out / name
    is_there = downloads and all(file.exists() for file in downloads)
    if (data / name).exists() or not is_there:
        return data / name
    if not target.exists():
        with TemporaryDirectory(dir=out) as folder:
            _convert(downloads, Path(folder), query, target)
    return target


def _convert(downloads: list[Path], folder: Path, query: str, target: Path) -> None:
    for file in downloads:
        if file.suffix == ".parquet":
            (folder / file.name).symlink_to(file.absolute())
        elif file.suffix == ".zip":
            shutil.unpack_archive(file, folder)
        else:
            shutil.unpack_archive(file, folder, filter="data")
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        table = connection.sql(query)
        table.write_csv(str(folder / target.name), sep="\t", compression="gzip")
    (folder / target.name).rename(target)
