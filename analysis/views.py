"""Create the SQL views of stores, searches, published lists and reports.

The result is a DuckDB database whose views read the files of the folders in place. Each view is a
file of `analysis/sql/views`, and the comments in its header become the comments of the view. Ids
are read from files and are never part of the text of a statement.
"""

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.field_types import IdKinds, database_types
from analysis.logs.files import discover
from analysis.logs.reader import kinds_of
from analysis.queries import Column, Connection, Constant, Sql
from analysis.store import LOGGED, MANIFEST, PLAY, IdsOf, check_files, open_store
from looplib.config import parse_yaml
from looplib.event_fields import SESSION_SILENCE_MS

REPORT = "report.json"
LISTENER_VALUES = "listener_values.parquet"  # of a report
SCORES = "scores.npy"  # of a published version, by line of its lists and rank
LISTENER_SCORES = "listener_scores.parquet"  # of a run
# files by which a report, a run and a store are known
_KINDS = (REPORT, _RUN := "winner.json", MANIFEST)
# files of lists in a folder of published versions, in a run, and in a version
_LISTS = [
    f"{folder}{pool}.jsonl"
    for folder in ("versions/*/", "export/versions/*/", "")
    for pool in ("recommendations", "repeat", "new")
]
# the number that stands for a text id in a store
_NUMBER = 'CAST(md5_number("{}") >> 65 AS BIGINT)'
_EFFECTS = (
    "STRUCT(arm VARCHAR, metric VARCHAR, role VARCHAR, segment VARCHAR, day VARCHAR, "
    "control_value DOUBLE, arm_value DOUBLE, "
    "relative STRUCT(value DOUBLE, lower DOUBLE, upper DOUBLE), p_value DOUBLE, "
    "adjusted_p_value DOUBLE, significant BOOLEAN)[]"
)
_REPORT_FIELDS = {
    "experiment": "VARCHAR",
    "listeners": "MAP(VARCHAR, BIGINT)",
    "sessions": "MAP(VARCHAR, BIGINT)",
    "recommenders": "MAP(VARCHAR, VARCHAR)",
    "config": "STRUCT(control VARCHAR)",
    "effects": _EFFECTS,
    "by_day": _EFFECTS,
    "segments": _EFFECTS,
}
_TITLE = {"title": "VARCHAR", "artist": "VARCHAR"}
# the names of some columns and their meaning, in the header of a file
_COLUMN = re.compile(r"^-- {3}(\S+(?:, \S+)*) {2,}(.+)$", re.MULTILINE)


def open_views(
    folders: Iterable[str | Path],
    database: str | Path = ":memory:",
    locate: Callable[[str], Path] = Path,
) -> Connection:
    """Open a database with the views of some folders.

    A run adds the views of its store, and a report adds the views of its store or logs. Paths
    inside the views are absolute.

    Args:
        folders: A store, a run, folders of published versions, a report, or several of them.
        database: A new file for the views; by default they are in memory.
        locate: Function that returns the local folder of an address.

    Raises:
        AnalysisError: A folder is none of these, two folders are of the same kind, or a file is
            damaged.
    """
    kinds, lists, catalogues, logs = _find(map(str, folders), locate)
    connection = queries.connect(database)
    has_plays = MANIFEST in kinds
    if has_plays:
        _attach_store(connection, kinds[MANIFEST], catalogues)
    elif logs:
        with suppress(AnalysisError):  # the logs are gone
            _attach_logs(connection, logs, catalogues)
            has_plays = True
    if _RUN in kinds:
        _attach_run(connection, kinds[_RUN])
    if REPORT in kinds:
        _attach_report(connection, kinds[REPORT], has_events=has_plays and bool(logs))
    if lists:
        _attach_lists(connection, lists, catalogues)
    return connection


def _find(
    folders: Iterable[str], locate: Callable[[str], Path]
) -> tuple[dict[str, Path], list[Path], list[Path], list[str]]:
    """Classify folders, and follow runs and reports to their stores and logs.

    Returns:
        Folders of the store, the run and the report by their file in `_KINDS`; published lists;
        catalogues; and the logs of the report.

    Raises:
        AnalysisError: Two folders are of the same kind.
    """
    kinds: dict[str, Path] = {}
    lists: dict[tuple[str, ...], Path] = {}  # by version and file
    catalogues: list[Path] = []
    sources: list[str] = []
    pending = [*folders]
    for address in pending:
        folder = locate(address).resolve()
        published = [file for name in _LISTS for file in sorted(folder.glob(name))]
        lists |= {file.parts[-2:]: file for file in published}
        catalogues += {file.with_name("tracks.json") for file in published}
        kind = next((name for name in _KINDS if (folder / name).is_file()), MANIFEST)
        if kind == MANIFEST and published:
            continue
        if kinds.setdefault(kind, folder) != folder:
            problem = f"{folder} and {kinds[kind]} are of a kind"
            raise AnalysisError(f"{problem}; name one of them")
        if kind == REPORT:
            report = msgspec.json.decode((folder / REPORT).read_bytes())
            sources = report["sources"] if report["lines"]["read"] else []  # or a table
            pending += [path for path in sources if (Path(path) / MANIFEST).is_file()]
        elif kind == _RUN:
            text = (folder / "config.yaml").read_bytes()
            config = parse_yaml(text, f"{address}: not a run")
            pending.append(config["store"])
            catalogues += map(Path, filter(None, [config.get("catalogue")]))
    catalogues = [file for file in catalogues if file.is_file()]
    return kinds, [*lists.values()], catalogues, sources


def _attach_store(
    connection: Connection, folder: Path, catalogues: Sequence[Path]
) -> None:
    """Add the views of a store: plays, listeners, tracks and sessions."""
    store = open_store(folder)
    manifest = store.manifest
    kinds = IdKinds(manifest.text_users, manifest.text_items)
    parts = check_files(folder, manifest.parts)
    ids: dict[int | IdsOf, list[Path]] = {"users": [], "items": [], "titles": []}
    for file in manifest.id_files:
        ids[file.of] += check_files(folder, [file])
    _attach(connection, "stored", parts, {**database_types(IdKinds()), **PLAY})
    user, track = map(_type_of, kinds)
    id_ = {"id": "BIGINT"}
    _attach(connection, "listener_ids", ids["users"], {**id_, "original": user})
    _attach(connection, "track_ids", ids["items"], {**id_, "original": track})
    _attach(connection, "stored_titles", ids["titles"], {**id_, **_TITLE})
    number = _NUMBER.format("track") if kinds.tracks else "track"
    _add_plays(connection, kinds, catalogues, number, manifest.columns)
    connection.table("listener_names").create_view("value_names")


def _attach_logs(
    connection: Connection, logs: Sequence[str], catalogues: Sequence[Path]
) -> None:
    """Add the views of a store for event logs, whose events contain the original ids.

    Raises:
        AnalysisError: The logs cannot be read.
    """
    files = discover(logs)
    kinds = kinds_of(files)
    user, track = map(_type_of, kinds)
    columns = database_types(kinds)
    paths = [file.path for file in files]
    _attach(connection, "lines", paths, columns, ignore_errors=True)
    lacking = [
        Constant(None).cast(kind).alias(name)
        for name, kind in PLAY.items()
        if name not in columns and name != "share"
    ]
    share = Column("time").alias("share")
    lines = connection.table("lines")
    lines.select(*map(Column, columns), share, *lacking).create_view("stored")
    _attach(connection, "listener_ids", (), {"id": user, "original": user})
    _attach(connection, "track_ids", (), {"id": track, "original": track})
    _attach(connection, "stored_titles", (), {"id": track, **_TITLE})
    _add_plays(connection, kinds, catalogues, "track", LOGGED)
    number = Sql(_NUMBER.format("user") if kinds.users else '"user"').alias("id")
    names = lines.select(number, Column("user").alias("listener"))
    names.distinct().create_view("value_names")


def _add_plays(
    connection: Connection,
    kinds: IdKinds,
    catalogues: Sequence[Path],
    number: str,
    columns: Sequence[str],
) -> None:
    """Add the views of plays, with titles from a store and from catalogues.

    Args:
        connection: Connection with the table of plays, `stored`, and a store's ids and titles.
        kinds: Which ids are text.
        catalogues: Files `tracks.json`.
        number: SQL that maps a catalogue's track to the id that plays have.
        columns: Columns that the plays have.
    """
    has_moments = "timestamp" in columns
    has_seconds = "seconds" in columns
    _attach(
        connection, "catalogue", catalogues, {"track": _type_of(kinds.tracks), **_TITLE}
    )
    names = [Column(name) for name in _TITLE]
    titles = connection.table("catalogue").select(Sql(number).alias("id"), *names)
    stored = connection.table("stored_titles").select(Column("id"), *names)
    stored.union(titles).create_view("titles")
    queries.attach_query(connection, "listener_names", "views/listener_names")
    queries.attach_query(connection, "track_names", "views/track_names")
    queries.attach_query(
        connection,
        "named_plays",
        "sessions/named_plays",
        silence_ms=SESSION_SILENCE_MS,
        by_row=False,
        has_moments=has_moments,
        skip=None,
        train=[],
        test=[],
    )
    _add(connection, "views/plays", has_moments=has_moments, has_seconds=has_seconds)
    _add(connection, "views/sessions", has_moments=has_moments)
    _add(connection, "views/listeners")
    _add(connection, "views/tracks")


def _attach_run(connection: Connection, folder: Path) -> None:
    """Add the views of a finished search."""
    queries.attach_parquet(connection, "leaderboard", [folder / "leaderboard.parquet"])
    _add(connection, "views/trials")
    if (scores := folder / LISTENER_SCORES).is_file():
        queries.attach_parquet(connection, "listener_scores", [scores])
        _add(connection, "views/scores")


def _attach_report(connection: Connection, folder: Path, *, has_events: bool) -> None:
    """Add the views of an A/B report, after the views of its plays."""
    _attach(connection, "report", [folder / REPORT], _REPORT_FIELDS)
    _add(connection, "views/arms")
    _add(connection, "views/effects")
    if has_events:
        experiment = connection.table("report").select("experiment").fetchall()[0][0]
        pointer = queries.json_pointers(experiment)[0]
        _add(connection, "views/events", experiment=pointer)
    if (values := folder / LISTENER_VALUES).is_file() and has_events:
        queries.attach_parquet(connection, "listener_rows", [values])
        _add(connection, "views/listener_values")


def _attach_lists(
    connection: Connection, files: Sequence[Path], catalogues: Sequence[Path]
) -> None:
    """Add the view of published recommendation lists, whose ids are numbers or text."""
    with files[0].open("rb") as lines:
        first = msgspec.json.decode(lines.readline() or b'{"user": 0, "tracks": []}')
    user = _type_of(isinstance(first["user"], str))
    track = _type_of(isinstance([*first["tracks"], 0][0], str))
    columns = {"user": user, "tracks": f"{track}[]"}
    _attach(connection, "list_lines", files, columns, filename=True)
    scored = [file for file in files if file.stem == "recommendations"]
    scored = [file for file in scored if file.with_name(SCORES).is_file()]
    for file in scored:
        with queries.naming(f"{file.with_name(SCORES)}: damaged", ValueError, EOFError):
            values = np.load(file.with_name(SCORES))
        _attach(connection, "scored_lines", [file], {"user": user})
        connection.register("score_values", pa.table({"scores": [*values]}))
        name = str(file.resolve())
        rows = queries.open_rows(connection, "views/list_scores", filename=name)
        queries.append("list_scores", rows)
    if not scored:
        none = {"filename": "VARCHAR", "user": user, "scores": "FLOAT[]"}
        _attach(connection, "list_scores", (), none)
    _attach(connection, "catalogue", catalogues, {"track": track, **_TITLE})
    _add(connection, "views/lists")


def _attach(
    connection: Connection,
    table: str,
    files: Sequence[Path],
    columns: Mapping[str, str],
    **options: Any,  # noqa: ANN401  of DuckDB's reader of JSON
) -> None:
    """Create a view of Parquet or JSON files; without files the view has no rows."""
    if not files:
        nulls = (Constant(None).cast(type_).alias(n) for n, type_ in columns.items())
        connection.sql("SELECT 0 LIMIT 0").select(*nulls).create_view(table)
    elif files[0].suffix == ".parquet":
        queries.attach_parquet(connection, table, files, columns=columns)
    else:
        names = [glob.escape(str(file.resolve())) for file in files]
        rows = connection.read_json(
            names, columns=dict(columns), hive_partitioning=False, **options
        )
        rows.create_view(table, replace=True)


def _add(connection: Connection, name: str, **values: object) -> None:
    """Add a public view, with the comments in the header of its SQL file."""
    view = name.partition("/")[2]
    queries.attach_query(connection, view, name, **values)
    head, _, columns = queries.statement(name).partition("\n-- Columns:\n")
    comments = {f"VIEW {view}": head.splitlines()[0].removeprefix("-- ")}
    for names, meaning in _COLUMN.findall(columns):
        for column in names.split(", "):
            comments[f"COLUMN {view}.{column}"] = meaning
    for what, comment in comments.items():
        text = comment.replace("'", "''")
        connection.execute(f"COMMENT ON {what} IS '{text}'")


def _type_of(is_text: bool) -> str:
    return "VARCHAR" if is_text else "BIGINT"
