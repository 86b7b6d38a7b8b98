"""`listening-loop replay`: requests, scores and refusals."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.plays.draft import draft_columns, parse_columns
from listening_loop.command import main
from listening_loop.replay.plays import select_plays
from listening_loop.replay.report import describe
from listening_loop.replay.score import score
from tests.botify.exports import edit_manifest, read_lists, read_manifest
from tests.conftest import Run
from tests.listening_loop.replay.conftest import (
    COLUMNS,
    DAY,
    ORDERS,
    publish,
    write_plays,
)
from tests.waiting import wait_until

Older = Callable[[str], tuple[Path, Path]]
NEWEST = {1: "released", 2: "released", 3: "unheard"}  # by listener
RECOMMENDERS = ("in_order", "live", "sticky_artist")


def words(
    order: str,
    file: Path,
    export: Path,
    out: Path,
    *more: str,
    names: Sequence[str] = RECOMMENDERS,
) -> list[str]:
    asked = [word for name in names for word in ("--recommender", name)]
    paths = ["replay", str(file), "--published", str(export), "--out", str(out)]
    columns = ["--columns", f"{COLUMNS}{ORDERS[order]}={order}"]
    return [*paths, *columns, *asked, "--set", "repeat_after=1", *more]


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def rank_of(track: str, ranking: list[str]) -> float:
    return ranking.index(track) + 1 if track in ranking else np.inf


def kill_amid(arguments: list[str], is_at_work: Callable[[], bool]) -> None:
    """Kill the command when it is at work."""
    argv = [sys.executable, "-m", "listening_loop.command", *arguments]
    with subprocess.Popen(argv) as process:
        wait_until(is_at_work, "its work", [process])
        process.kill()


Sessions = dict[str, list[list[str]]]


def sessions_by_hand(file: Path, export: Path) -> tuple[Sessions, Sessions]:
    """Split the plays that an export has learned from, and the later ones, into sessions."""
    with np.load(export / "current/latest.npz") as arrays:
        after = int(arrays["latest"].max()) / 1000
    parts: tuple[Sessions, Sessions] = (defaultdict(list), defaultdict(list))
    before: dict[str, int] = {}
    table = csv.DictReader(file.read_text().splitlines())
    rows = sorted(table, key=lambda row: int(row["timestamp"]))
    for row in rows:
        user, stamp = row["u"], int(row["timestamp"])
        sessions = parts[stamp > after][user]
        if stamp - before.get(user, -DAY) > 1800:
            sessions.append([])
        before[user] = stamp
        sessions[-1].append(row["i"])
    return parts


@pytest.mark.dask
def test_rankings_are_scored_by_what_is_played_next_and_in_the_rest(
    older: Older, tmp_path: Path, printed: Run
) -> None:
    file, export = older("timestamp")
    asked = words("timestamp", file, export, tmp_path, names=["in_order", "live"])
    shown = printed(*asked)
    assert "A prediction of what people played without us, not a lift" in shown
    lists = read_lists(export / "current")
    ranks, rest = [], []
    for user, sessions in sessions_by_hand(file, export)[1].items():
        for session in sessions:
            for place, (heard, following) in enumerate(pairwise(session)):
                ranking = [track for track in lists[user] if track != heard][:20]
                if heard != following:
                    ranks.append(rank_of(following, ranking))
                    rest.append(len(set(session[place + 1 :]).intersection(ranking)))
    index = (tmp_path.parent / "index.html").read_text()
    assert f'href="{tmp_path.name}/report.html"' in index
    report = report_of(tmp_path)
    scored = {
        row["metric"]: row
        for row in report["scores"]
        if (row["recommender"], row["group"]) == ("in_order", "all")
    }
    inverse = 1 / np.array(ranks)
    assert scored["mrr"]["predictions"] == len(ranks)
    assert {name: row["value"] for name, row in scored.items()} == pytest.approx(
        {
            "precision@1": np.mean(inverse == 1),
            "precision@20": np.mean(inverse > 0),
            "mrr": inverse.mean(),
            "rest@20": np.mean(rest) / 20,
        },
        abs=1e-6,
    )
    compared = report["comparisons"][:4]
    assert {row["better"] for row in compared} == {"live"}


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.timeout(1800)
def test_refits_add_each_play_once_and_go_on_after_a_kill(
    older: Older, tmp_path: Path
) -> None:
    file, export = older("timestamp")
    for name in ("run", "store"):
        shutil.copytree(export.parent / name, tmp_path / "search" / name)
    # the search ran in the folder `search`
    config = tmp_path / "search/run/config.yaml"
    config.write_text(config.read_text().replace(f"{export.parent}/", ""))
    refits = ("--refit-every", "1d", "--run", str(config.parent))
    names = ["most_played"]
    arguments = words("timestamp", file, export, tmp_path, *refits, names=names)
    kill_amid(arguments, lambda: any(tmp_path.glob("answers/*/refit-1/.lock")))
    assert main([*arguments, "--connections", "3"]) == 0
    page = (tmp_path / "report.html").read_bytes()
    (answers,) = tmp_path.glob("answers/*/most_played.jsonl")
    lines = answers.read_bytes().splitlines(keepends=True)
    answers.write_bytes(b"".join(lines[1:]))  # a play has no answer yet
    assert main([*arguments, "--connections", "1"]) == 0
    assert (tmp_path / "report.html").read_bytes() == page
    report = report_of(tmp_path)
    moments = map(datetime.fromisoformat, report["replay"]["refits"])
    assert [moment.timestamp() % DAY for moment in moments] == [0, 0]
    older_sessions, replayed = sessions_by_hand(file, export)
    ranks = []
    for user, sessions in replayed.items():
        heard = [track for session in older_sessions[user] for track in session]
        for session in sessions:
            for track, following in zip(session, [*session[1:], None], strict=True):
                heard.append(track)
                if following not in (None, track):
                    counts = Counter(reversed(heard))  # the newest wins a tie
                    ranking = [
                        name for name, _ in counts.most_common() if name != track
                    ]
                    ranks.append(rank_of(following, ranking[:20]))
    (value,) = (
        row["value"]
        for row in report["scores"]
        if (row["group"], row["metric"]) == ("all", "mrr")
    )
    assert value == pytest.approx(np.mean(1 / np.array(ranks)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "order", ["timestamp", pytest.param("position", marks=pytest.mark.long)]
)
def test_the_same_plays_give_the_same_bytes_after_a_kill_and_without_redis(
    older: Older, tmp_path: Path, order: str
) -> None:
    file, export = older(order)
    one, killed, shared = (tmp_path / name for name in ("one", "killed", "shared"))
    assert main(words(order, file, export, one, "--connections", "1")) == 0
    # no server is there, and sessions are not lost
    redis = ("--set", "redis_url=redis://127.0.0.1:1", "--set", "processes=2")
    assert main(words(order, file, export, shared, *redis)) == 0
    pattern = "answers/*/live.jsonl"
    kill_amid(
        words(order, file, export, killed, "--connections", "2"),
        lambda: any(file.stat().st_size for file in killed.glob(pattern)),
    )
    (answers,) = killed.glob(pattern)
    answers.write_bytes(answers.read_bytes() + b'{"listener": 3, "ra')  # torn
    assert main(words(order, file, export, killed)) == 0
    for name in ("report.json", "report.html"):
        expected = (one / name).read_bytes()
        assert (killed / name).read_bytes() == expected
        assert (shared / name).read_bytes() == expected
    report = report_of(one)
    assert (report["replay"]["sessions"] is None) == (order == "position")


def test_what_cannot_be_replayed_is_refused(
    older: Older, tmp_path: Path, refusal: Run
) -> None:
    file, export = older("position")
    out = tmp_path / "out"
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("u,i\nu1,t1\nu1,t2\nu2,t1\n")
    unordered = ["replay", str(pairs), "--published", str(export)]
    unordered += ["--columns", "listener=u,track=i", "--recommender", "in_order"]
    assert "neither played_at nor position" in refusal(*unordered)
    without = refusal(*unordered[:4], "--recommender", "in_order")
    assert "without a query, a file is read as an event log" in without
    nobody = words("position", file, export, out, names=["in_order", "nobody"])
    assert "no such recommender" in refusal(*nobody)
    everything, learned = publish(tmp_path, "position")
    assert "has learned from 100.0% of the plays" in refusal(
        *words("position", everything, learned, out)
    )
    refits = ("--refit-every", "1d")
    assert "needs --run" in refusal(*words("position", file, export, out, *refits))
    run = ("--run", str(export.parent / "run"))
    problem = refusal(*words("position", file, export, out, *refits, *run))
    assert "needs times" in problem
    problem = refusal(*words("position", file, export, out, "--refit-every", "0d"))
    assert "expected a span such as 12h or 7d" in problem
    problem = refusal(*words("position", everything, learned, out, *refits, *run))
    assert "leaves out no plays of its store" in problem
    of_times = write_plays(tmp_path / "times.csv", "timestamp")
    problem = refusal(*words("timestamp", of_times, export, out))
    assert "without timestamps" in problem
    edit_manifest(learned / "current", files={})
    problem = refusal(*words("position", file, learned, out, names=["live"]))
    assert "--recommender live reads live.npz, which" in problem
    catalogue = learned / "current" / "tracks.json"
    catalogue.write_text(
        re.sub('"artist":"[^"]*"', '"artist":""', catalogue.read_text())
    )
    problem = refusal(*words("position", file, learned, out, names=["sticky_artist"]))
    assert "sticky_artist reads artists with several tracks, which" in problem


def test_new_listeners_are_told_apart_and_tracks_that_are_not_there_counted(
    older: Older, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, export = older("position")
    grown = tmp_path / "grown.csv"
    rows = "u1,unheard,0,5000\nu1,t3,0,5001\nnobody,t1,0,1\nnobody,t4,0,2\n"
    grown.write_text(file.read_text() + rows)
    out = tmp_path / "out"
    lists = export / "current"
    files = read_manifest(lists)["files"]
    files.pop("live.npz", None)  # an export lacks it when there are too few plays
    edit_manifest(lists, files=files)
    asked = words("position", grown, export, out, names=["in_order", "live"])
    assert main(asked) == 0
    printed = "".join(capsys.readouterr())
    assert "left out: --recommender live reads live.npz, which" in printed
    assert "that the catalogue lacks, and no ranking has: 1." in printed
    assert ", 1 new." in printed
    assert "new listeners" in {row["group"] for row in report_of(out)["scores"]}


def test_hits_that_only_the_catalogue_makes_possible_are_counted(
    older: Older, tmp_path: Path
) -> None:
    """A track that the owner's catalogue names may be listed before its first play."""
    file, export = older("position")
    version = shutil.copytree(export / "current/", tmp_path / "version")
    with (version / "tracks.json").open("a") as catalogue:
        catalogue.write('{"track": "released", "artist": "0"}\n')
    grown = tmp_path / "grown.csv"
    rows = "".join(f"u{user},{track},0,5000\n" for user, track in NEWEST.items())
    grown.write_text(file.read_text() + rows)
    query = draft_columns([grown], parse_columns(f"{COLUMNS}position=position"))
    options = {"repeat_after": 1}
    plays = select_plays(query, version, None, options, tmp_path)
    assert plays.is_unplayed.sum() == 2
    best = np.tile([1.0, 0, 0], (plays.has_next.sum(), 1))
    scores, _ = score(plays, {"live": best, "none": 0 * best})
    counts = [text for text in describe(plays, scores) if "nobody had played" in text]
    total = next(row for row in scores if row["group"] == "all")["predictions"]
    assert counts[0].startswith(
        f"live: 2 of {total} hits are of tracks that nobody had"
    )
    assert counts[1].startswith("none: 0 of 0 hits are")
