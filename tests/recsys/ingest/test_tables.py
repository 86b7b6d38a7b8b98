"""Interactions of your own: any format gives the same store, with the ids that came in."""

import gzip
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analysis.errors import AnalysisError
from analysis.logs.reader import read_rejects
from analysis.plays.columns import COLUMNS as COLUMNS_OF_PLAYS
from analysis.plays.columns import check_names
from analysis.plays.draft import parse_columns
from analysis.plays.query import PlaysQuery
from recsys.ingest import pipeline
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


def test_named_columns_and_the_query_that_they_make_give_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(Path("a.csv"), random_interactions(2, 400))
    Path("plays.sql").write_text(
        "-- as a person lays it out\nSELECT uid AS listener, song AS track, seconds,\n"
        "  to_timestamp(TRY_CAST(ts AS DOUBLE)) AS played_at\n"
        "FROM read_csv('a.csv', all_varchar = true)"
    )
    assert ingest(Path("named"), "a.csv", *ASKED) == 0
    assert ingest(Path("queried"), "plays.sql") == 0
    named, queried = (open_store(name).manifest for name in ("named", "queried"))
    assert (named.digest, named.parts) == (queried.digest, queried.parts)


def test_repeated_rows_are_said_and_another_query_does_not_read_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [GOOD | {"seconds": weight} for weight in (1, 2.5, 4, 4)]
    rows += [GOOD | {"ts": 20458 * 86400}] * 2  # twice on a day
    file = write_csv(tmp_path / "a.csv", rows)
    assert ingest(tmp_path / "store", file, *ASKED) == 0
    said = (
        "4 rows repeat another's listener, track, time and session: copies count once"
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
    assert "has read it by another query" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_whole_numbers_stay_themselves(name: str, tmp_path: Path) -> None:
    rows = [GOOD | {"uid": 10**12 + user, "song": 3 * user} for user in range(9)]
    store = ingest_tables(tmp_path, WRITERS[name](tmp_path / name, rows))
    assert {row["user"] for row in read_rows(store)} == {row["uid"] for row in rows}
    assert not store.manifest.text_users
    assert store.manifest.id_files == ()


BAD: list[tuple[Row, str]] = [
    *(({"uid": value}, "listener") for value in (None, "", 1.5, [1])),
    ({"song": None}, "track"),
    *(({"seconds": value}, "seconds") for value in (None, "much", -0.5, 2e15)),
    *(({"ts": value}, "played_at") for value in (None, "soon", -1)),
]


def reason_of(column: str) -> str:
    return f"{column} is missing or wrong: {COLUMNS_OF_PLAYS[column].meaning}"


def test_bad_rows_are_kept_with_their_files_lines_and_reasons_and_the_others_come_in(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "small [files]"  # which are read in one statement
    written = {}
    for name in ("a", "b [2]", "c'"):
        (folder / name).mkdir(parents=True)
        bad = [GOOD | {"what": name} | change for change, _ in BAD]
        written[name] = [GOOD, *bad, *(GOOD | {"song": f"{n}"} for n in range(300))]
        write_json(folder / name / "plays.jsonl", written[name])
    store = ingest_tables(tmp_path, folder)
    assert store.manifest.events == 301 * len(written)
    for source in store.manifest.sources:
        assert (source.lines.good, source.lines.rejected) == (301, len(BAD))
        rejects = sorted(
            read_rejects(store.path / source.rejects), key=lambda reject: reject.line
        )
        assert [(reject.line, reject.reason) for reject in rejects] == list(
            enumerate((reason_of(column) for _, column in BAD), start=2)
        )
        name = Path(source.name).parent.name
        assert rejects[-1].text == "a, b, 1.5, 1969-12-31 23:59:59+00"
        written.pop(name)
    assert not written


def test_files_that_are_read_together_name_their_listeners_and_what_is_damaged(
    tmp_path: Path, refusal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    query = tmp_path / "plays.sql"
    query.write_text(
        "SELECT parse_path(filename)[-2] AS listener, song AS track\n"
        "FROM read_json('in/*/*.json*')\n"
    )
    for name in ("a [1]", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        write_json(tmp_path / "in" / name / "plays.jsonl", [GOOD])
    (tmp_path / "in" / "README").write_text("no data")
    for _ in range(2):  # the same bytes of another listener are other plays
        assert ingest(tmp_path / "store", query) == 0
        store = open_store(tmp_path / "store")
        assert [row["user"] for row in rows_by_original_id(store)] == ["a [1]", "b"]
    assert store.manifest.queries == (query.read_text(),)
    (tmp_path / "in" / "b" / "d.json").write_text('[{"uid": 1, "song": 2}, {"ui')
    (tmp_path / "in" / "b" / "c.json").write_text('[{"uid": 1, "song": 2}]')
    line = refusal("ingest", query, "--store", tmp_path / "more")
    assert "plays.sql on ../in/b/d.json" in line.replace(str(tmp_path), "..")
    assert "Malformed JSON" in line


def test_the_docs_name_every_column_of_a_play() -> None:
    page = Path("docs/own-data.md").read_text()
    for name, column in COLUMNS_OF_PLAYS.items():
        assert f"| `{name}` | {column.meaning} |" in page


QUERIES = [
    (
        "SELECT uid AS listener,\n song AS track, FROM nowhere.x",
        "line 2: Catalog Error",
    ),
    (
        "SELECT uid AS listener,\n nope AS track FROM 'a.csv'",
        "line 2: Binder Error: Ref",
    ),
    ("SELECT uid AS listener\nFORM 'a.csv'", "line 2: Parser Error: syntax error at"),
    ("SELECT uid AS listener FROM 'a.csv'", "no column track; a play has both"),
    (
        "SELECT uid AS listener, song AS track, seconds AS secs FROM 'a.csv'",
        "column secs is unknown; the nearest is seconds, of listener, track, seconds",
    ),
    (
        "SELECT uid AS listener, song AS track, ts AS played_at FROM 'a.csv'",
        "played_at is of type BIGINT; a time is expected: write to_timestamp(played_at)",
    ),
    (
        "SELECT seconds AS listener, song AS track FROM 'a.csv'",
        "listener is of type DOUBLE; ids are whole numbers or text",
    ),
    (
        "SELECT uid AS listener, song AS track, 87 AS share, uid AS session FROM 'a.csv'",
        "1 of 1 shares are above 1, up to 87; if they are percentages, write … / 100",
    ),
    (
        "SELECT uid AS listener, song AS track FROM 'a.csv' WHERE seconds > 9",
        "no line but blank ones, or such as the condition leaves out",
    ),
    ("DROP TABLE x", "Only SELECT statements can be"),
    ("", "a SELECT is expected"),
]


@pytest.mark.parametrize(("sql", "message"), QUERIES)
def test_a_query_that_fails_is_one_line_with_its_place(
    sql: str, message: str, tmp_path: Path, refusal: Run
) -> None:
    write_csv(tmp_path / "a.csv", [GOOD])
    (tmp_path / "plays.sql").write_text(sql)
    words = ["ingest", tmp_path / "plays.sql", "--store", tmp_path / "store"]
    assert message in refusal(*words)
    assert not (tmp_path / "store" / "manifest.json").exists()


def test_a_query_that_combines_files_runs_as_a_whole_and_adds_new_rows_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "names.csv", [{"song": "b", "name": "B side"}])
    connection = duckdb.connect(tmp_path / "shop.duckdb")
    connection.execute("CREATE TABLE plays AS SELECT 'a' AS uid, 'b' AS song, 5 AS ts")
    query = tmp_path / "plays.sql"
    query.write_text(
        "ATTACH 'shop.duckdb' AS shop (READ_ONLY);\n"
        "SELECT uid AS listener, song AS track, to_timestamp(ts) AS played_at, name AS title\n"
        "FROM shop.plays LEFT JOIN 'names.csv' USING (song)\n"
    )
    for added in (1, 0, 1):
        connection.close()
        assert ingest(tmp_path / "store", query) == 0
        printed = capsys.readouterr()
        assert f" plays, {added} of them new" in printed.out
        assert "runs as a whole" in printed.err
        connection = duckdb.connect(tmp_path / "shop.duckdb")
        connection.execute("INSERT INTO plays VALUES ('a', 'b', ?)", [6 + (not added)])
        if added:
            connection.execute("DELETE FROM plays WHERE ts > 5")
    connection.close()


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
        columns = "listener=user,track=track,weight=n"
        store = ingest_tables(tmp_path, database, columns=columns)
        times = [row["amount"] for row in rows_by_original_id(store)]
        assert sorted(times) == [1, 2]
    connection.close()


STOLEN = "FROM read_text('secret') SELECT content"
ENDLESS = """CREATE VIEW plays AS
WITH RECURSIVE n (u) AS (SELECT 1 UNION ALL SELECT u + 1 FROM n) SELECT u FROM n"""
GENERATED = [  # binds the macro in a query that does not name it
    "CREATE TABLE plays (t VARCHAR, u VARCHAR AS (lower(t)))",
    f"CREATE MACRO lower(x) AS ({STOLEN})",
]
SCAN = "FROM read_duckdb('plays.db', table_name = 'plays')"
SCAN_SQLITE = "FROM sqlite_scan('plays.db', 'plays')"
ATTACH = "ATTACH 'plays.db' AS shop (READ_ONLY);"
WHOLE = "JOIN (SELECT 1)"


@pytest.mark.parametrize(
    ("connect", "made", "read", "message"),
    [
        (duckdb.connect, [f"CREATE VIEW plays AS {STOLEN}"], SCAN, "it has none"),
        (
            duckdb.connect,
            [f"CREATE VIEW plays AS {STOLEN}"],
            f"{SCAN} {WHOLE} ON true",
            "it has none",
        ),
        (
            duckdb.connect,
            ["CREATE MACRO duckdb_tables() AS TABLE SELECT 'x'"],
            SCAN,
            "it has none",
        ),
        (
            duckdb.connect,
            [f"CREATE VIEW plays AS {STOLEN}"],
            f'{ATTACH} USE shop; FROM "Plays"',
            "the view or macro plays",
        ),
        (
            duckdb.connect,
            GENERATED,
            f"{ATTACH} USE shop; FROM plays",
            "the view or macro lower",
        ),
        (
            duckdb.connect,
            [f"CREATE MACRO plays() AS TABLE {STOLEN}"],
            f"{ATTACH} FROM shop.plays()",
            "the view or macro plays",
        ),
        (sqlite3.connect, [ENDLESS], SCAN_SQLITE, "it has none"),
        (sqlite3.connect, [ENDLESS], f"{SCAN_SQLITE} {WHOLE} ON true", "it has none"),
        (
            sqlite3.connect,
            ["CREATE VIRTUAL TABLE plays USING fts5(u)"],
            SCAN_SQLITE,
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
            SCAN_SQLITE,
            "malformed database schema",
        ),
    ],
)
def test_a_database_of_others_runs_no_sql(
    connect: Callable[[str], Any],
    made: list[str],
    read: str,
    message: str,
    tmp_path: Path,
    refusal: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("token")
    connection = connect("plays.db")
    for statement in made:
        connection.execute(statement)
    connection.commit()
    connection.close()
    query = f"{read} SELECT u AS listener, u AS track"
    assert message in refusal("ingest", "--sql", query, "--store", "store")


def test_a_query_that_runs_as_a_whole_reads_tables_of_databases(
    tmp_path: Path,
) -> None:
    made = "CREATE TABLE plays (u TEXT, n INT AS (length(u)))"
    for connect, name in ((duckdb.connect, "a.duckdb"), (sqlite3.connect, "a.db")):
        with closing(connect(tmp_path / name)) as connection:
            connection.execute(made)
            connection.execute("INSERT INTO plays (u) VALUES ('ann'), ('ann')")
            connection.commit()
    query = PlaysQuery(
        "SELECT u AS listener, n AS track FROM 'a.duckdb' UNION ALL "
        "SELECT u, n + 1 FROM sqlite_scan('a.db', 'plays') GROUP BY ALL",
        tmp_path,
    )
    rows = rows_by_original_id(pipeline.ingest(query, tmp_path / "store").store)
    assert sorted((row["user"], row["track"]) for row in rows) == [
        ("ann", 3),
        ("ann", 4),
    ]


def test_a_csv_line_with_another_number_of_values_is_a_reject_and_later_ones_keep_their_numbers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "uid,song,seconds,day\na,b,1,2026-01-05\na,b\na,c,1,2026-01-05\n"
        "a,d,x,2026-01-05\na,e,1,2026-01-05,9\n,f,1,2026-01-05\n"
    )
    columns = COLUMNS.replace("=ts", "=day")
    store = ingest_tables(tmp_path, file, columns=columns)
    assert [reject.line for reject in rejects_of(store)] == [3, 5, 6, 7]
    assert rejects_of(store)[1].reason == reason_of("seconds")
    assert store.manifest.events == 2


def test_a_row_whose_position_is_no_whole_number_is_rejected(tmp_path: Path) -> None:
    rows = [{"uid": 1, "song": 2, "n": n} for n in ("", "x", "1.5", "-1", "2")]
    store = ingest_rows(tmp_path, rows, "listener=uid,track=song,position=n")
    assert store.manifest.events == 1
    reasons = [reject.reason for reject in rejects_of(store)]
    assert reasons == [reason_of("position")] * 4


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
        ("a.parquet", b"PAR1", "a.parquet: no row can be read"),
        ("a.csv.gz", b"uid,song", "a.csv.gz: a damaged gzip file"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"uid": 1}' * 99, mtime=0)[:-12],
            "a.jsonl.gz: a damaged gzip file",
        ),
        ("a.xls", b"uid", "a.xls: no file of plays; known are .csv"),
        (
            "a.csv",
            b"uid,song,seconds,ts\na,b,-1,2026-01-05\n",
            "the first line refused is",
        ),
        (
            "a.jsonl",
            b'{"uid": 1, "song": 1, "seconds": 1, "ts": 1700000000}\n'
            b'{"uid": "x", "song": 1, "seconds": 1, "ts": 1700000000}\n',
            "mixed listeners: 1 rows have a number and 1 have text",
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


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("listener=uid", "no column track; a play has both"),
        ("listener=uid,track", "'track': expected name=column, such as listener=uid"),
        (
            "listener=uid,track=song,wieght=s",
            "wieght is unknown; the nearest is weight",
        ),
        ("listener=uid,track=song,listener=x", "listener: given twice"),
        (
            "listener=uid,track=song,share=heard",
            "a share needs played_at or session; return it as weight",
        ),
        (
            "listener=uid,track=song,share=heard,weight=heard,played_at=ts",
            "weight and share say how much was heard; return one",
        ),
        (
            "listener=uid,track=song,organic=heard,played_at=ts",
            "organic and propensity belong to plays with a share",
        ),
    ],
)
def test_wrong_columns_and_those_that_do_not_go_together_are_refused(
    columns: str, message: str
) -> None:
    with pytest.raises(AnalysisError, match=f"columns.*{message}"):
        check_names(parse_columns(columns), "columns")
