"""Interactions of your own: any format gives the same store, with the ids that came in."""

import gzip
import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analysis.errors import AnalysisError
from analysis.logs.reader import read_rejects
from analysis.tables.columns import parse_columns
from recsys.store.reader import open_store
from tests.conftest import Run
from tests.recsys.events import read_rows, rows_by_original_id
from tests.recsys.tables import INTERACTIONS as COLUMNS
from tests.recsys.tables import (
    WRITERS,
    Row,
    ingest,
    ingest_rows,
    ingest_tables,
    random_interactions,
    rejects_of,
    write_csv,
    write_json,
    write_parquet,
)

ASKED = ("--columns", COLUMNS)
GOOD = {"uid": "a", "song": "b", "seconds": 1.5, "ts": 1_700_000_000}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_sums_of_its_rows_by_the_ids_that_came_in(
    name: str, tmp_path: Path
) -> None:
    rows = random_interactions(1, 3000)
    store = ingest_tables(tmp_path, WRITERS[name](tmp_path / name, rows))
    sums: dict[tuple[Any, ...], float] = defaultdict(float)
    for row in rows:
        sums[row["uid"], row["song"], row["ts"] * 1000] += row["seconds"]
    stored = {
        (row["user"], row["track"], row["timestamp"]): row["amount"]
        for row in rows_by_original_id(store)
    }
    assert stored == pytest.approx(sums)
    assert store.manifest.events == len(sums) < len(rows)


def test_repeated_rows_are_said_and_titles_are_not_added_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [GOOD | {"seconds": weight} for weight in (1, 2.5, 4, 4)]
    rows += [GOOD | {"ts": 20458 * 86400}] * 2  # twice on a day
    file = write_csv(tmp_path / "a.csv", rows)
    assert ingest(tmp_path / "store", file, *ASKED) == 0
    said = (
        "4 rows repeat another's user, item, timestamp and session: copies count once"
    )
    assert said in capsys.readouterr().out
    times = [
        row["amount"] for row in rows_by_original_id(open_store(tmp_path / "store"))
    ]
    assert times == [7.5, 3.0]
    assert ingest(tmp_path / "store", file, *ASKED) == 0
    assert "1 files add nothing, the store has their content" in capsys.readouterr().out
    titled = ("--columns", f"{COLUMNS},title=song")
    assert ingest(tmp_path / "store", file, *titled) == 2
    assert "read without titles and artists; ingest them" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_whole_numbers_stay_themselves(name: str, tmp_path: Path) -> None:
    rows = [GOOD | {"uid": 10**12 + user, "song": 3 * user} for user in range(9)]
    store = ingest_tables(tmp_path, WRITERS[name](tmp_path / name, rows))
    assert {row["user"] for row in read_rows(store)} == {row["uid"] for row in rows}
    assert not store.manifest.text_users
    assert store.manifest.id_files == ()


@pytest.mark.parametrize(
    ("written", "moment_ms"),
    [
        ("1700000000", 1_700_000_000_000),
        ("1700000000.25", 1_700_000_000_250),
        ("1700000000123", 1_700_000_000_123),
        ("2020-01-01", 1_577_836_800_000),
        ("2020-01-01 00:00:01", 1_577_836_801_000),
        ("2020-01-01T02:00:00+02:00", 1_577_836_800_000),
        ("2020-01-01T00:00:00Z", 1_577_836_800_000),
        ("0", 0),
    ],
)
def test_a_timestamp_is_seconds_or_milliseconds_or_a_date(
    written: str, moment_ms: int, tmp_path: Path
) -> None:
    (row,) = read_rows(ingest_rows(tmp_path, [GOOD | {"ts": written}]))
    assert row["timestamp"] == moment_ms


BAD: list[tuple[Row, str]] = [
    ({"uid": None}, "user is missing"),
    ({"uid": ""}, "user is missing"),
    ({"uid": 1.5}, "user is of type double; a whole number or text is allowed"),
    ({"uid": [1]}, "user is of type array; a whole number or text is allowed"),
    ({"song": None}, "item is missing"),
    ({"seconds": None}, "weight is missing"),
    ({"seconds": "much"}, "weight much is no number"),
    ({"seconds": float("nan")}, "weight NaN; 0 to 1e15 is allowed"),
    ({"seconds": float("inf")}, "weight Infinity; 0 to 1e15 is allowed"),
    ({"seconds": -0.5}, "weight -0.5; 0 to 1e15 is allowed"),
    ({"seconds": 2e15}, "weight 2000000000000000.0; 0 to 1e15 is allowed"),
    ({"ts": None}, "timestamp is missing"),
    (
        {"ts": "soon"},
        "timestamp soon is neither seconds nor milliseconds since 1970 nor a date that begins "
        "with the year; name its form, such as date_format=%d/%m/%Y",
    ),
    ({"ts": -1}, "timestamp -1; 1970 to 5138 is allowed"),
]


def test_bad_rows_are_kept_with_their_files_lines_and_reasons_and_the_others_come_in(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "small [files]"  # which are read in one statement
    written = {}
    for name in ("a", "b [2]", "c'"):
        (folder / name).mkdir(parents=True)
        bad = [GOOD | {"what": name} | change for change, _ in BAD]
        written[name] = [GOOD, *bad, GOOD | {"song": name}]
        write_json(folder / name / "plays.jsonl", written[name])
    store = ingest_tables(tmp_path, folder)
    assert store.manifest.events == 2 * len(written)
    for source in store.manifest.sources:
        assert (source.lines.good, source.lines.rejected) == (2, len(BAD))
        rejects = sorted(
            read_rejects(store.path / source.rejects), key=lambda reject: reject.line
        )
        assert [(reject.line, reject.reason) for reject in rejects] == list(
            enumerate((why for _, why in BAD), start=2)
        )
        name = Path(source.name).parent.name
        assert [reject.text for reject in rejects] == [
            json.dumps(row) for row in written.pop(name)[1:-1]
        ]
    assert not written


def test_files_that_are_read_together_name_their_listeners_and_what_is_damaged(
    tmp_path: Path, refusal: Run
) -> None:
    columns = "user=@folder,item=song"
    for name in ("a [1]", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        write_json(tmp_path / "in" / name / "plays.jsonl", [GOOD])
    (tmp_path / "in" / "README").write_text("no data")
    for _ in range(2):  # the same bytes of another listener are other plays
        store = ingest_tables(tmp_path, tmp_path / "in", columns=columns)
        assert [row["user"] for row in rows_by_original_id(store)] == ["a [1]", "b"]
    (tmp_path / "in" / "d.json").write_text('[{"uid": 1, "song": 2}, {"ui')
    (tmp_path / "in" / "c.json").write_text('[{"uid": 1, "song": 2}]')
    argv = (tmp_path / "in", "--store", tmp_path / "more", "--columns", columns)
    assert "d.json: cannot be read as .json" in refusal("ingest", *argv)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_rows_in_the_write_ahead_log_of_a_database_are_read(
    kind: str, tmp_path: Path
) -> None:
    database = tmp_path / f"live.{kind}"
    connection: Any
    if kind == "sqlite":
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA journal_mode = WAL")
    else:
        connection = duckdb.connect(database.with_name("a"))
    connection.execute("CREATE TABLE plays (user VARCHAR, track VARCHAR, n BIGINT)")
    connection.execute("INSERT INTO plays VALUES ('a', 'b', 1), ('a', 'c', 2)")
    connection.commit()
    for suffix in ("", ".wal") * (kind == "duckdb"):  # as a crash leaves them
        shutil.copyfile(f"{tmp_path / 'a'}{suffix}", f"{database}{suffix}")
    for _ in range(2):
        columns = "user=user,item=track,weight=n"
        store = ingest_tables(tmp_path, database, columns=columns)
        times = [row["amount"] for row in rows_by_original_id(store)]
        assert sorted(times) == [1, 2]
    connection.close()


ENDLESS = """CREATE VIEW plays AS
WITH RECURSIVE n (u) AS (SELECT 1 UNION ALL SELECT u + 1 FROM n) SELECT u FROM n"""


@pytest.mark.parametrize(
    ("connect", "made", "message"),
    [
        (
            duckdb.connect,
            ["CREATE VIEW plays AS FROM read_text('secret')"],
            "it has none",
        ),
        (
            duckdb.connect,
            ["CREATE MACRO duckdb_tables() AS TABLE SELECT 'x'"],
            "it has none",
        ),
        (sqlite3.connect, [ENDLESS], "it has none"),
        (
            sqlite3.connect,
            ["CREATE VIRTUAL TABLE plays USING fts5(u)"],
            "no table plays",
        ),
        (
            sqlite3.connect,  # the names of a view and a table, exchanged
            [
                "CREATE TABLE other (u)",
                ENDLESS,
                "PRAGMA writable_schema = 1",
                "UPDATE sqlite_master SET name = iif(type = 'view', 'other', 'plays')",
            ],
            "malformed database schema",
        ),
    ],
)
def test_a_database_of_others_runs_no_sql(
    connect: Callable[[Path], Any],
    made: list[str],
    message: str,
    tmp_path: Path,
    refusal: Run,
) -> None:
    database = tmp_path / "plays.db"
    connection = connect(database)
    for statement in made:
        connection.execute(statement)
    connection.commit()
    connection.close()
    arguments = (database, "--store", tmp_path / "store", "--table", "plays")
    assert message in refusal("ingest", *arguments, "--columns", "user=u,item=t")


def test_a_csv_line_with_another_number_of_values_is_a_reject_and_later_ones_keep_their_numbers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "uid,song,seconds,ts\na,b,1,5\na,b\na,c,1,5\na,d,x,5\na,e,1,5,9\n,f,1,5\n"
    )
    store = ingest_tables(tmp_path, file)
    assert [reject.line for reject in rejects_of(store)] == [3, 5, 6, 7]
    assert store.manifest.events == 2


def test_a_row_whose_position_is_no_whole_number_is_rejected(tmp_path: Path) -> None:
    rows = [{"uid": 1, "song": 2, "n": n} for n in ("", "x", "1.5", "-1", "2")]
    store = ingest_rows(tmp_path, rows, "user=uid,item=song,position=n")
    assert store.manifest.events == 1
    reasons = [reject.reason for reject in rejects_of(store)]
    assert len(reasons) == 4
    assert reasons[0] == "position is missing"
    assert reasons[1].startswith("position x; a whole number")


def test_a_later_file_with_ids_of_the_other_kind_has_its_rows_rejected(
    tmp_path: Path,
) -> None:
    ingest_rows(tmp_path, [GOOD | {"uid": 7}])
    rows = [GOOD | {"uid": 8, "song": "c"}, GOOD | {"uid": "x"}]
    store = ingest_rows(tmp_path, rows)
    assert {row["user"] for row in read_rows(store)} == {7, 8}
    assert sum(source.lines.rejected for source in store.manifest.sources) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: empty; at least one row is expected"),
        ("a.csv", b"uid,song,seconds,ts\n", "a.csv: empty; at least one row is"),
        ("a.jsonl", b"\n\n", "a.jsonl: empty; at least one row is expected"),
        (
            "a.csv",
            b"uid,song,ts\na,b,1\n",
            "a.csv: no column seconds; found are uid, song, ts",
        ),
        ("a.parquet", b"PAR1", "a.parquet: cannot be read as .parquet"),
        ("a.csv.gz", b"uid,song", "a.csv.gz: a damaged gzip file"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"uid": 1}' * 99, mtime=0)[:-12],
            "a.jsonl.gz: a damaged gzip file",
        ),
        ("a.xls", b"uid", "a.xls: no file of interactions; known are .csv"),
        ("a.csv", b"uid,song,seconds,ts\na,b,-1,1\n", "the first line refused is"),
        (
            "a.jsonl",
            b'{"uid": 1, "song": 1, "seconds": 1, "ts": 1}\n'
            b'{"uid": "x", "song": 1, "seconds": 1, "ts": 1}\n',
            "mixed users: 1 rows have a number and 1 have text",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_written(
    name: str, content: bytes, message: str, tmp_path: Path, refusal: Run
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert message in refusal("ingest", file, "--store", tmp_path / "store", *ASKED)
    assert {path.name for path in tmp_path.rglob("*")} <= {name, "store", ".lock"}


def test_an_id_column_that_is_neither_numbers_nor_text_is_refused(
    tmp_path: Path,
) -> None:
    file = write_parquet(tmp_path / "a.parquet", [GOOD | {"uid": 1.0}])
    message = "column uid is of type DOUBLE; ids are whole numbers or text"
    with pytest.raises(AnalysisError, match=message):
        ingest_tables(tmp_path, file)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("user=uid", "item not given"),
        ("user=uid,item", "'item': expected name=column, such as user=uid"),
        ("user=uid,item=song,wieght=s", "wieght: unknown; the nearest is weight"),
        ("user=uid,item=song,user=x", "user: given twice"),
        ("user=uid,item=uid", "user and item are the same column, uid"),
        (
            "user=uid,item=song,share=heard",
            "plays need timestamp= or session=; for interactions name the share weight=",
        ),
        (
            "user=uid,item=song,played=heard,timestamp=ts",
            "played and duration go together",
        ),
        (
            "user=uid,item=song,share=heard,weight=heard,timestamp=ts",
            "weight and share both say how much was heard",
        ),
        (
            "user=uid,item=song,position=n,timestamp=ts",
            "timestamp and position both order interactions",
        ),
        (
            "user=uid,item=song,organic=heard,timestamp=ts",
            "organic and propensity belong to plays, which need share=",
        ),
    ],
)
def test_wrong_columns_and_those_that_do_not_go_together_are_refused(
    columns: str, message: str
) -> None:
    with pytest.raises(AnalysisError, match=f"columns.*{message}"):
        parse_columns(columns)
