"""`listening-loop init`: the commands that it prints, and the configurations that it writes."""

import re
import shlex
import sqlite3
from pathlib import Path

import duckdb
import pytest

from botify.settings import ServiceSettings
from listening_loop.command import main
from listening_loop.init.look import look_at
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
    text, words = FILES[name]
    Path(name).write_text(text)
    shown = printed("init", name)
    steps = steps_of(shown)
    (ingest, search), (serve, ask, report) = steps[:2], steps[-3:]
    stem = Path(name).stem
    assert ingest[2:] == [name, "--store", f"out/{stem}/store", *shlex.split(words)]
    assert (search[3], serve[3]) == (f"{stem}.yaml", f"{stem}-service.yaml")
    assert (ask[0], report[2]) == ("curl", f"out/{stem}/log")
    is_ordered = re.search("timestamp=|position=|--preset", words)
    assert ("no replay  nothing orders the plays" in shown) == (not is_ordered)
    if is_ordered:
        older, replay = steps[2:4]
        assert {f"out/{stem}/older", "export.learn_from=training"} <= {*older}
        assert ("split.kind=time" in older) == (older[1] == "search")
        assert replay[1:5] == ["replay", name, "--published", f"out/{stem}/older"]
        assert replay[replay.index(ingest[5]) + 1] == ingest[6]
        rule = "sticky_artist" if "artist=" in words else "activation"
        assert "--preset" in words or rule in replay
    load_config(SearchConfig, Path(search[3]))
    service = load_config(ServiceSettings, Path(serve[3]))
    assert len(service.deciding.arms) == 3
    assert "0 rejected" in printed(*ingest[1:])


def test_columns_that_are_named_win_and_the_others_are_guessed(
    printed: Run,
    refusal: Run,
) -> None:
    text = table("who,track,ts,len", lambda u, n: (u, n % 7, 1_767_225_600 + n, n))
    Path("odd.csv").write_text(text)
    line = refusal("init", "odd.csv")
    assert "which column is the user? Found are who, track, ts, len" in line
    assert line.endswith("guessed so far: timestamp=ts,item=track")
    words = ["init", "odd.csv", "--columns", "user=who,weight=len"]
    ingest = steps_of(printed(*words))[0]
    assert ingest[-1] == "user=who,item=track,weight=len,timestamp=ts"
    assert "odd.yaml: there already" in refusal(*words)


def test_titles_that_are_named_as_ids_are_said_and_shown(
    printed: Run,
) -> None:
    Path("scrobbles.csv").write_text(FILES["scrobbles.csv"][0])
    shown = printed("init", "scrobbles.csv", "--columns", "item=track")
    assert "3 texts in track are 15 pairs with artist" in shown
    assert "--columns item=artist+track" in shown


def configured(name: str, text: str) -> SearchConfig:
    Path(f"{name}.csv").write_text(text)
    assert main(["init", f"{name}.csv"]) == 0
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
    assert "every row counts 1" not in Path("counts.yaml").read_text()


def test_an_event_log_and_a_published_pair_are_known(
    tmp_path: Path, printed: Run
) -> None:
    sessions = random_sessions(1, listeners=3, tracks=9, sessions=5)
    assert look_at(write_log(tmp_path / "events.jsonl", sessions), {}).is_log
    Path("train.txt").write_text("2 17 4\n0\n1 17\n")
    words = ["init", "train.txt", "--preset", "lightgcn", "--out", "pair.yaml"]
    command = "ingest train.txt --store out/pair/store --preset lightgcn"
    assert command in printed(*words)
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
    assert "user Jürgen 0, item „Lied“ 0" in shown
    ingest = steps_of(shown)[0]
    assert ingest[-1] == f"encoding={encoding}"
    assert "0 rejected" in printed(*ingest[1:])
    assert "utf-9" in refusal(*ingest[1:-1], "encoding=utf-9")


def test_a_listener_may_be_a_folder(printed: Run, refusal: Run) -> None:
    for user in ("ann", "bob"):
        Path("history", user).mkdir(parents=True)
        text = table("ts,track", lambda u, n: (1_767_225_600 + 60 * n + u, f"t{n % 9}"))
        Path("history", user, "plays.csv").write_text(text)
    ingest = steps_of(printed("init", "history"))[0]
    assert "user=@folder" in ingest[-1]
    assert printed(*ingest[1:]).count("0 rejected") == 1
    text = Path("history", "ann", "plays.csv").read_text()
    Path("one.csv").write_text(text)
    assert "user=@file" in refusal("init", "one.csv")
    line = refusal("init", "one.csv", "--columns", "user=@file")
    assert "one.csv: all plays are of one listener, as user" in line


def test_tables_of_several_kinds_and_ids_of_mixed_types_are_refused(
    refusal: Run,
) -> None:
    Path("data").mkdir()
    Path("data", "ratings.csv").write_text("userId,movieId\n1,2\n")
    Path("data", "links.csv").write_text("movieId,imdbId\n2,7\n")
    assert "links.csv: which column is the user?" in refusal("init", "data")
    Path("a.jsonl").write_text('{"user": 1, "track": 2}\n{"user": "b", "track": 2}\n')
    assert "mixed users: 1 rows have a number and 1" in refusal("init", "a.jsonl")


def test_a_condition_of_the_owner_joins_that_of_liked_stars(
    printed: Run,
) -> None:
    rows = table("user,item,rating,kind", lambda u, n: (u, n, 1 + n % 5, "ab"[n % 2]))
    Path("rated.csv").write_text(rows)
    condition = "kind = 'a' OR kind = 'b'"
    ingest = steps_of(printed("init", "rated.csv", "--where", condition))[0]
    assert ingest[-1] == f'({condition}) AND CAST("rating" AS DOUBLE) >= 4'


def test_dates_that_may_be_either_are_said(printed: Run) -> None:
    text = table("user,track,date", lambda u, n: (u, n, f"{1 + n % 9}/5/2025"))
    Path("plays.csv").write_text(text)
    shown = printed("init", "plays.csv")
    assert "dates are  %d/%m/%Y; they may be %m/%d/%Y too" in shown
    american = ("--set", "date_format=%m/%d/%Y")
    assert "--set date_format=%m/%d/%Y" in printed(
        "init", "plays.csv", "--force", *american
    )


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_empty_file_is_called_empty(name: str, refusal: Run) -> None:
    Path(name).touch()
    assert f"{name}: empty; at least one row is" in refusal("init", name)


def test_a_database_and_a_query_are_read_as_tables_and_each_row_once(
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
    query = "ATTACH 'plays.duckdb' AS shop (READ_ONLY); SELECT * FROM shop.plays"
    ingests = []
    for words in (
        ["plays.duckdb", "--table", "plays"],
        ["plays.db", "--table", "plays"],
        ["--sql", query],
    ):
        shown = printed("init", *words, "--force")
        assert "30 others are left out" in shown
        ingest = steps_of(shown)[0]
        store = f"out/{words[-1][:6]}-{words[0]}"
        ingests.append([*ingest[1:], "--store", store])
        shown = printed(*ingests[-1])
        assert "210 good + 0 rejected" in shown
        assert "30 rows are left out, as the condition says" in shown
    for connection in (duckdb.connect("plays.duckdb"), sqlite3.connect("plays.db")):
        connection.executemany("INSERT INTO plays VALUES (?, ?, ?, ?)", more)
        connection.commit()
        connection.close()
    for ingest in ingests:  # rows that were read before are not read again
        assert "216 plays, 6 of them new" in printed(*ingest)
    counts = "user=user,item=track,weight=seconds"
    without = ["--sql", query, "--store", "out/counts", "--columns", counts]
    printed("ingest", *without)
    without[1] += " WHERE user < 3"
    assert "out/counts: it has rows, and without" in refusal("ingest", *without)
    line = refusal("init", "plays.db", "--force")
    assert "plays.db: which table; it has plays, listeners; say --table" in line


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
