"""Views of stores, runs, lists and reports: people's ids and words, read in place."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

import listening_loop as ll
from analysis.errors import AnalysisError
from analysis.queries import ask
from analysis.views import open_views
from listening_loop.command import main
from tests.analysis.ab.logs import experiment, write

# ids that would end a statement's text
HOSTILE = "b'ob; DROP VIEW plays --"
PLAYS = f"""who,song,seconds,at,name,by
ann,x,200,2026-01-01 10:00:00,X,Nina
ann,y,15,2026-01-01 11:00:00,Y,Otis
{HOSTILE},x,180,2026-01-02 10:00:00,X,Nina
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("it's here")
    (folder / "plays.csv").write_text(PLAYS)
    ll.ingest(
        folder / "plays.csv",
        folder / "store",
        user="who",
        item="song",
        seconds="seconds",
        timestamp="at",
        title="name",
        artist="by",
    )
    return folder / "store"


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    return ask(open_views([folder]), query).fetchall()


def test_plays_have_ids_titles_times_and_amounts_of_their_source(store: Path) -> None:
    columns = "listener, track, title, artist, strftime(played_at, '%d %H'), seconds"
    assert rows(store, f"FROM plays SELECT {columns} ORDER BY ALL") == [
        ("ann", "x", "X", "Nina", "01 10", 200),
        ("ann", "y", "Y", "Otis", "01 11", 15),
        (HOSTILE, "x", "X", "Nina", "02 10", 180),
    ]


def test_sessions_listeners_and_tracks_sum_up_plays(store: Path) -> None:
    counts = "SELECT listener, plays, tracks FROM listeners ORDER BY ALL"
    assert rows(store, counts) == [("ann", 2, 2), (HOSTILE, 1, 1)]
    tracks = "SELECT track, artist, plays, listeners FROM tracks ORDER BY track"
    assert rows(store, tracks) == [("x", "Nina", 2, 2), ("y", "Otis", 1, 1)]
    sessions = "SELECT listener, plays, amount FROM sessions ORDER BY ALL"
    assert rows(store, sessions) == [("ann", 1, 15), ("ann", 1, 200), (HOSTILE, 1, 180)]


def test_every_column_of_a_view_has_a_comment(store: Path) -> None:
    views = "SELECT view_name FROM duckdb_views() WHERE comment IS NOT NULL ORDER BY 1"
    names = ["listeners", "plays", "sessions", "tracks"]
    assert rows(store, views) == [(name,) for name in names]
    for name in names:
        columns = f"FROM duckdb_columns() WHERE table_name = '{name}'"
        assert rows(store, f"SELECT any_value(comment) {columns}") != [(None,)]
        assert rows(store, f"SELECT count(*) {columns} AND comment IS NULL") == [(0,)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("COPY plays TO 'copy.csv'", "only statements that read"),
        ("CREATE TABLE t AS FROM plays", "only statements that read"),
        ("SELECT 1; DROP VIEW plays", "only statements that read"),
        ("FROM playz", 'Did you mean "plays"'),
        ("SELEC 1", "syntax error"),
        ("", "only statements that read"),
    ],
)
def test_a_query_that_does_more_than_read_or_fails_is_said_in_one_line(
    store: Path, query: str, words: str
) -> None:
    with pytest.raises(AnalysisError, match=f"^the query: .*{words}.*$"):
        ll.open_store(store).sql(query)


def test_saved_views_open_in_duckdb_from_another_folder(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    assert main(["sql", "store", "--save", str(tmp_path / "views.duckdb")]) == 0
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("views.duckdb", read_only=True) as connection:
        names = connection.sql("SELECT DISTINCT listener FROM plays ORDER BY 1")
        assert names.fetchall() == [("ann",), (HOSTILE,)]
        amount = connection.sql("SELECT sum(amount) FROM sessions").fetchall()
        assert amount == [(395,)]
    assert main(["sql", str(store), "--save", "views.duckdb"]) == 2


def test_the_command_prints_a_table_or_csv(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT track, plays FROM tracks ORDER BY track"
    assert main(["sql", str(store), query, "--csv"]) == 0
    assert capsys.readouterr().out.split() == ["track,plays", "x,2", "y,1"]
    assert main(["sql", str(store), query]) == 0
    assert "varchar" in capsys.readouterr().out
    monkeypatch.setenv("PATH", "")
    assert main(["sql", str(store)]) == 2
    assert "no program duckdb" in capsys.readouterr().err


def test_the_prompt_opens_views_that_can_only_be_read(
    store: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "duckdb"
    program.write_text('#!/bin/sh\nhead -c 12 "$2" >/dev/null && echo "$1"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert main(["sql", str(store)]) == 0
    assert capfd.readouterr().out == "-readonly\n"


def test_folders_of_a_kind_and_of_no_kind_are_refused(
    store: Path, tmp_path: Path
) -> None:
    with pytest.raises(AnalysisError, match="no session store here"):
        open_views([tmp_path])
    other = tmp_path / "other"
    ll.ingest(store.parent / "plays.csv", other, user="who", item="song")
    with pytest.raises(AnalysisError, match="are of a kind; name one"):
        open_views([store, other])


@pytest.mark.parametrize("prefix", ["", "u'"])
@pytest.mark.parametrize("is_stored", [False, True])
def test_values_and_events_of_a_report_have_the_ids_of_the_log(
    tmp_path: Path, prefix: str, is_stored: bool
) -> None:
    events = experiment(effect=0.2, past=2)
    for event in events:
        event["user"] = f"{prefix}{event['user']}" if prefix else event["user"]
    source = write(tmp_path / "a.jsonl", events)
    if is_stored:
        source = Path(ll.ingest(source, tmp_path / "store").address)
    report = ll.ab(source, "ALS", min_days=1)
    values = report.sql(
        "SELECT arm, sum(during * weight) / sum(weight) FROM listener_values "
        "WHERE metric = 'mean_time_per_session' GROUP BY arm ORDER BY arm"
    )
    effect = report.report.evidence.effect("T1", "mean_time_per_session")
    expected = [("C", effect.control_value), ("T1", effect.arm_value)]
    assert values.fetchall() == [(arm, pytest.approx(value)) for arm, value in expected]
    shown = report.sql(
        "SELECT DISTINCT listener FROM listener_values JOIN events USING (listener)"
    )
    assert {name for (name,) in shown.fetchall()} == {e["user"] for e in events}
    counts = report.sql("SELECT arm, count(*) FROM events GROUP BY arm ORDER BY arm")
    assert sum(count for _, count in counts.fetchall()) == len(events)
    shown = report.sql(
        "SELECT arm, effect_pct FROM effects WHERE role = 'primary' AND day = ''"
    )
    assert shown.fetchall() == [("T1", pytest.approx(effect.relative.value))]
    sizes = report.sql("SELECT arm, listeners, is_control FROM arms ORDER BY arm")
    assert sizes.fetchall() == [("C", 30, True), ("T1", 30, False)]
