"""`listening-loop init`: the commands that it prints, and the files that it writes.

`tests/spec/test_file_shapes.py` has the files that it reads.
"""

import re
import shlex
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from botify.settings import ServiceSettings
from listening_loop.command import main
from looplib.config import load_config
from recsys.config import SearchConfig
from tests.conftest import Run
from tests.recsys.logs import random_sessions, write_log

PLAYS = [(user, play) for play in range(40) for user in range(6)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, head: str, row: Callable[[int, int], Sequence[object]]) -> None:
    """Write a CSV file with a row for each play of each listener."""
    lines = [head, *(",".join(map(str, row(*play))) for play in PLAYS)]
    Path(name).write_text("\n".join(lines) + "\n")


def steps_of(shown: str) -> list[list[str]]:
    lines = shown.partition("then:\n")[2].splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        ("user,ts,track_id,artist", "sticky_artist"),
        ("user,position,track_id", "activation"),
        ("user,other,track_id", None),
    ],
)
def test_the_steps_lead_from_the_query_to_a_report(
    head: str, rule: str | None, printed: Run
) -> None:
    start = 1_767_225_600 if "ts" in head else 0
    write(
        "music.csv",
        head,
        lambda u, n: (u, start + 60 * n, n % 9, n % 3)[: 3 + (rule == "sticky_artist")],
    )
    shown = printed("init", "music.csv")
    steps = steps_of(shown)
    (ingest, search), (serve, ask, report) = steps[:2], steps[-3:]
    assert ingest[1:] == ["ingest", "plays.sql", "--store", "out/music/store"]
    assert (search[3], serve[3]) == ("music.yaml", "music-service.yaml")
    assert (ask[0], report[2]) == ("curl", "out/music/log")
    assert ("no replay  nothing orders the plays" in shown) == (rule is None)
    if rule:
        older, replay = steps[2:4]
        assert {"out/music/older", "export.learn_from=training"} <= {*older}
        assert ("split.kind=time" in older) == (older[1] == "search")
        assert replay[1:5] == ["replay", "plays.sql", "--published", "out/music/older"]
        assert rule in replay
    load_config(SearchConfig, Path(search[3]))
    service = load_config(ServiceSettings, Path(serve[3]))
    assert len(service.deciding.arms) == 3
    assert "0 rejected" in printed(*ingest[1:])


def test_columns_that_are_named_win_and_the_others_are_guessed(
    printed: Run, refusal: Run
) -> None:
    write("odd.csv", "who,track,ts,len", lambda u, n: (u, n % 7, 1_767_225_600 + n, n))
    line = refusal("init", "odd.csv")
    assert "which column is the listener?" in line
    assert line.partition("first rows: ")[2].count(" | ") == 4
    words = ["init", "odd.csv", "--columns", "listener=who,weight=len", "--force"]
    shown = printed(*words)
    for item in ("who AS listener", "    track,", "AS played_at", "len AS weight"):
        assert item in shown
    assert "odd.yaml: there already" in refusal(*words[:-1])


def test_a_query_that_was_corrected_is_looked_at_as_it_is(
    printed: Run, refusal: Run
) -> None:
    write("odd.csv", "who,track", lambda u, n: (u, n % 7))
    refusal("init", "odd.csv")
    query = Path("plays.sql")
    query.write_text(re.sub(r"error\(.*?\)", "who", query.read_text()))
    assert "6 listeners, 7 tracks" in printed("init", query)
    assert load_config(SearchConfig, Path("plays.yaml")).validation.filter_seen is False


def configured(name: str) -> SearchConfig:
    assert main(["init", f"{name}.csv", "--force"]) == 0
    return load_config(SearchConfig, Path(f"{name}.yaml"))


def test_repeats_decide_models_and_lists() -> None:
    write("plays.csv", "listener,position,track", lambda u, n: (u, n, n % 7))
    plays = configured("plays")
    assert (plays.split.kind, plays.split.holdout) == ("newest", 0.2)
    assert (plays.validation.filter_seen, plays.export.filter_seen) == (False, False)
    kinds = {*plays.models} - {"als"}
    assert kinds == {"activation", "item_knn", "blend"}
    assert plays.search.expand
    write("pairs.csv", "user,item", lambda u, n: (u, f"t{n}"))
    pairs = configured("pairs")
    assert (pairs.split.kind, pairs.split.holdout) == ("session_hash", 0.15)
    assert (pairs.validation.filter_seen, pairs.export.filter_seen) == (True, True)
    assert {*pairs.models} == {"als", "item_knn"}
    write(
        "counts.csv", "User ID,Track ID,Play Count", lambda u, n: (u, n, 10 ** (n % 4))
    )
    assert configured("counts").feedback.scale == "log"
    assert "every row counts 1" not in Path("counts.yaml").read_text()


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
    assert "ingest pair.sql --store out/pair/store" in printed(*words)
    config = load_config(SearchConfig, Path("pair.yaml"))
    assert (config.split.kind, config.split.train) == ("files", ("train.txt",))
    assert config.validation.filter_seen
    assert config.validation.min_time == 1


def test_one_listener_tables_of_several_kinds_and_mixed_ids_are_refused(
    refusal: Run,
) -> None:
    write("one.csv", "ts,track", lambda u, n: (1_767_225_600 + 60 * n + u, f"t{n % 9}"))
    line = refusal("init", "one.csv", "--columns", "listener=@file")
    assert "one.csv: all plays are of one listener, one" in line
    Path("data").mkdir()
    Path("data", "ratings.csv").write_text("userId,movieId\n1,2\n")
    Path("data", "links.csv").write_text("movieId,imdbId\n2,7\n")
    assert "which column is the listener?" in refusal("init", "data", "--force")
    Path("a.jsonl").write_text('{"user": 1, "track": 2}\n{"user": "b", "track": 2}\n')
    mixed = "listeners: 1 rows have a number and 1"
    assert mixed in refusal("init", "a.jsonl", "--force")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_empty_file_is_called_empty(name: str, refusal: Run) -> None:
    Path(name).touch()
    assert f"{name}: empty; at least one row is" in refusal("init", name)


def test_lines_that_end_in_several_ways_are_read(printed: Run) -> None:
    rows = "".join(f"u{u};t{n}\r\n" for u, n in PLAYS)
    Path("mixed.csv").write_text(f"user;item\n{rows}", newline="")
    assert "240 rows, 6 listeners, 40 tracks" in printed("init", "mixed.csv")


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
    assert (
        "plays.db: which table; it has plays, listeners; name it: init FILE --table NAME"
        in line
    )
