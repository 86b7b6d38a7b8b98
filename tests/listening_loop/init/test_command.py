"""`listening-loop init`: the commands that it prints, and the configurations that it writes."""

import re
import shlex
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from botify.settings import ServiceSettings
from listening_loop.command import main
from looplib.config import load_config
from recsys.config import SearchConfig
from tests.conftest import Run
from tests.listening_loop.init.files import FILES, PLAYS, table
from tests.recsys.logs import random_sessions, write_log


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def steps_of(shown: str) -> list[list[str]]:
    lines = shown.partition("then:\n")[2].splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_it_is_meant_and_every_row_is_good(
    name: str, printed: Run
) -> None:
    text, query = FILES[name]
    Path(name).write_text(text)
    shown = printed("init", name)
    first, _, rest = Path("plays.sql").read_text().partition("\n")
    assert re.match(rf"-- plays of {name}, seen on 20..-..-..: \d+ rows, \d lis", first)
    assert rest.split() == query.split()
    steps = steps_of(shown)
    (ingest, search), (serve, ask, report) = steps[:2], steps[-3:]
    stem = Path(name).stem
    assert ingest[1:] == ["ingest", "plays.sql", "--store", f"out/{stem}/store"]
    assert (search[3], serve[3]) == (f"{stem}.yaml", f"{stem}-service.yaml")
    assert (ask[0], report[2]) == ("curl", f"out/{stem}/log")
    is_ordered = "played_at" in query
    assert ("no replay  nothing orders the plays" in shown) == (not is_ordered)
    if is_ordered:
        older, replay = steps[2:4]
        assert {f"out/{stem}/older", "export.learn_from=training"} <= {*older}
        assert ("split.kind=time" in older) == (older[1] == "search")
        assert replay[1:4] == ["replay", "plays.sql", "--published"]
        assert ("sticky_artist" if "artist" in query else "activation") in replay
    load_config(SearchConfig, Path(search[3]))
    service = load_config(ServiceSettings, Path(serve[3]))
    assert len(service.deciding.arms) == 3
    assert "0 rejected" in printed(*ingest[1:])
    assert "their content: " in printed(*ingest[1:])


def test_columns_that_are_named_win_and_the_others_are_guessed(
    printed: Run,
    refusal: Run,
) -> None:
    text = table("who,track,ts,len", lambda u, n: (u, n % 7, 1_767_225_600 + n, n))
    Path("odd.csv").write_text(text)
    line = refusal("init", "odd.csv")
    assert "which column is the listener? Found are who, track, ts, len" in line
    assert "guessed so far: played_at=ts,track=track; the first rows:" in line
    assert line.partition("first rows: ")[2].count(" | ") == 4
    words = ["init", "odd.csv", "--columns", "listener=who,weight=len"]
    printed(*words)
    query = Path("plays.sql").read_text()
    for column in ("who AS listener", "len AS weight", "to_timestamp(ts) AS played_at"):
        assert column in query
    assert "odd.yaml: there already" in refusal(*words)


def test_a_query_that_its_owner_has_corrected_is_taken_as_it_is(
    printed: Run, refusal: Run
) -> None:
    text = table("user,track,date", lambda u, n: (u, n, f"{1 + n % 9}/5/2025"))
    Path("plays.csv").write_text(text)
    question = refusal("init", "plays.csv", "--out", "new/plays.yaml")
    assert (
        "date 1/5/2025 is a date of the form %d/%m/%Y or %m/%d/%Y? new/plays.sql"
        in question
    )
    assert question.count(" | listener ") == 4
    assert not Path("new/plays.yaml").exists()
    query = Path("new/plays.sql")
    query.write_text(query.read_text().replace("%d/%m/%Y", "%m/%d/%Y"))
    shown = printed("init", str(query), "--out", "new/plays.yaml")
    assert "listener 0, track 0, amount 1, played_at 2025-01-05 00:00:00" in shown
    assert steps_of(shown)[0][2] == "new/plays.sql"


def configured(name: str, text: str) -> SearchConfig:
    Path(f"{name}.csv").write_text(text)
    assert main(["init", f"{name}.csv", "--force"]) == 0
    return load_config(SearchConfig, Path(f"{name}.yaml"))


def test_repeats_decide_models_and_lists() -> None:
    repeated = table("listener,position,track", lambda u, n: (u, n, n % 7))
    plays = configured("plays", repeated)
    assert (plays.split.kind, plays.split.holdout) == ("newest", 0.2)
    assert (plays.validation.filter_seen, plays.export.filter_seen) == (False, False)
    kinds = {*plays.models} - {"als"}
    assert kinds == {"activation", "item_knn", "blend"}
    assert plays.search.expand
    pairs = configured("pairs", table("user,item", lambda u, n: (u, f"t{n}")))
    assert (pairs.split.kind, pairs.split.holdout) == ("session_hash", 0.15)
    assert (pairs.validation.filter_seen, pairs.export.filter_seen) == (True, True)
    assert {*pairs.models} == {"als", "item_knn"}
    counts = configured("counts", FILES["counts.csv"][0])
    assert counts.feedback.scale == "log"


def test_an_event_log_and_a_published_pair_are_known(
    tmp_path: Path, printed: Run
) -> None:
    sessions = random_sessions(1, listeners=3, tracks=9, sessions=5)
    write_log(tmp_path / "events.jsonl", sessions)
    steps = steps_of(printed("init", "events.jsonl"))
    assert [step[2] for step in (steps[0], steps[3])] == 2 * ["events.jsonl"]
    assert not Path("plays.sql").exists()
    Path("train.txt").write_text("2 17 4\n0\n1 17\n")
    words = ["init", "train.txt", "--preset", "lightgcn", "--out", "pair.yaml"]
    assert "ingest plays.sql --store out/pair/store" in printed(*words)
    config = load_config(SearchConfig, Path("pair.yaml"))
    assert (config.split.kind, config.split.train) == ("files", ("train.txt",))
    assert config.validation.filter_seen
    assert config.validation.min_time == 1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_file_in_another_encoding_is_read_in_it(
    encoding: str, printed: Run, refusal: Run
) -> None:
    text = table("user,track", lambda u, n: (f"Jürgen {u}", f"„Lied“ {n}"))
    Path("plays.csv").write_text(text, encoding)
    shown = printed("init", "plays.csv")
    assert "listener Jürgen 0, track „Lied“ 0" in shown
    ingest = steps_of(shown)[0]
    assert "0 rejected" in printed(*ingest[1:])
    query = Path("plays.sql")
    query.write_text(query.read_text().replace(encoding, "utf-9"))
    assert "encoding utf-9: unknown encoding" in refusal(*ingest[1:4], "other")


def test_a_listener_may_be_a_folder(printed: Run, refusal: Run) -> None:
    for user in ("ann", "bob"):
        Path("history", user).mkdir(parents=True)
        text = table("ts,track", lambda u, n: (1_767_225_600 + 60 * n + u, f"t{n % 9}"))
        Path("history", user, "plays.csv").write_text(text)
    ingest = steps_of(printed("init", "history"))[0]
    query = Path("plays.sql").read_text()
    assert "parse_path(filename)[-2] AS listener" in query
    assert "read_csv('history/**/*.csv*'" in query
    assert printed(*ingest[1:]).count("0 rejected") == 1
    text = Path("history", "ann", "plays.csv").read_text()
    Path("one.csv").write_text(text)
    assert "listener=@file" in refusal("init", "one.csv", "--force")
    line = refusal("init", "one.csv", "--columns", "listener=@file", "--force")
    assert "one.csv: all plays are of one listener, one; two are" in line


def test_tables_of_several_kinds_and_ids_of_mixed_types_are_refused(
    refusal: Run,
) -> None:
    Path("data").mkdir()
    Path("data", "ratings.csv").write_text("userId,movieId\n1,2\n")
    Path("data", "links.csv").write_text("movieId,imdbId\n2,7\n")
    assert "links.csv: which column is the listener?" in refusal("init", "data")
    Path("a.jsonl").write_text('{"user": 1, "track": 2}\n{"user": "b", "track": 2}\n')
    assert "mixed listeners: 1 rows have a number and 1" in refusal("init", "a.jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_empty_file_is_called_empty(name: str, refusal: Run) -> None:
    Path(name).touch()
    assert f"{name}: empty; at least one row is" in refusal("init", name)


def test_a_database_is_read_as_a_table_and_each_row_once(
    printed: Run,
    refusal: Run,
) -> None:
    names = "user BIGINT, track VARCHAR, seconds DOUBLE, played_at VARCHAR"
    rows = [(u, f"t{n % 9}", 25.0 + n, f"2026-01-05 10:{n:02}:00") for u, n in PLAYS]
    more = [(u, "new", 200.0, "2026-01-06 10:00:00") for u in range(6)]
    for connection in (duckdb.connect("plays.duckdb"), sqlite3.connect("plays.db")):
        connection.execute(f"CREATE TABLE plays ({names})")
        connection.executemany("INSERT INTO plays VALUES (?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE listeners (id BIGINT)")
        connection.commit()
        connection.close()
    ingests = []
    for database in ("plays.duckdb", "plays.db"):
        out = f"{database[6:]}/plays.yaml"
        shown = printed("init", database, "--table", "plays", "--out", out)
        assert "30 rows are left out by the condition" in shown
        ingest = steps_of(shown)[0]
        ingests.append([*ingest[1:-1], f"{database[6:]}/store"])
        shown = printed(*ingests[-1])
        assert "210 good + 0 rejected" in shown
        assert "30 rows are left out, as the condition says" in shown
    for connection in (duckdb.connect("plays.duckdb"), sqlite3.connect("plays.db")):
        connection.executemany("INSERT INTO plays VALUES (?, ?, ?, ?)", more)
        connection.commit()
        connection.close()
    for ingest in ingests:  # rows that were read before are not read again
        assert "216 plays, 6 of them new" in printed(*ingest)
    sql = "SELECT user AS listener, track, seconds FROM read_duckdb('plays.duckdb', "
    sql += "table_name = 'plays')"
    without = ["--sql", sql, "--store", "out/counts"]
    printed("ingest", *without)
    without[1] += " WHERE user < 3"
    assert "as another query reads it" in refusal("ingest", *without)
    with duckdb.connect("plays.duckdb") as connection:
        connection.execute("DELETE FROM plays WHERE user = 0")
    assert "out/counts: it has rows, and without" in refusal(
        "ingest", "--sql", sql, *without[2:]
    )
    line = refusal("init", "plays.db", "--force")
    assert "plays.db: which table; it has plays, listeners; name it" in line


def test_a_column_that_looks_of_use_and_is_not_used_has_its_reason(
    printed: Run,
) -> None:
    text = table(
        "user,track,played_at,received_at,rating,album",
        lambda u, n: (u, n, f"2026-01-05 10:{n:02}", 1_767_225_600 + n, "?", "A"),
    )
    Path("plays.csv").write_text(text)
    assert (
        "not used   received_at (a time: played_at is taken), "
        "rating (an amount: ? is no number), album\n"
    ) in printed("init", "plays.csv")


def test_lines_that_end_in_several_ways_are_read(printed: Run) -> None:
    rows = "".join(f"u{u};t{n}\r\n" for u, n in PLAYS)
    Path("mixed.csv").write_text(f"user;item\n{rows}", newline="")
    assert "240 rows, 6 listeners, 40 tracks" in printed("init", "mixed.csv")


def test_a_parquet_file_is_read_by_the_types_of_its_columns(printed: Run) -> None:
    customers, plays = zip(*PLAYS, strict=True)
    columns = {
        "customer": customers,
        "product": [f"p{play % 9}" for play in plays],
        "purchased_at": pa.array(plays, pa.timestamp("us")),
        "seconds": [30.0 + play for play in plays],
    }
    pq.write_table(pa.table(columns), "listens.parquet")
    shown = printed("init", "listens.parquet")
    assert "purchased_at AS played_at" in shown
    assert "track p0, amount 30" in shown
