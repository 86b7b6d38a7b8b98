"""Off-policy estimates: what is refused, what is not conclusive, and what the command says."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from analysis.errors import AnalysisError
from analysis.logs.reader import digest, discover
from analysis.offpolicy import OffPolicy, SessionAware, sessions_of
from analysis.offpolicy.__main__ import PROG, app
from analysis.store import content_digest
from looplib.cli import run
from tests.analysis.logged import Session, heldout_events, uniform_events
from tests.recsys.logs import make_store, random_sessions

USERS, TRACKS, LISTED = 400, 30, 5


@pytest.fixture(scope="module")
def means() -> np.ndarray:
    return np.random.default_rng(1).beta(0.8, 1.2, size=(USERS, TRACKS))


@pytest.fixture(scope="module")
def judge(means: np.ndarray) -> OffPolicy:
    events = uniform_events(np.random.default_rng(2), USERS, 6, 4, TRACKS, means)
    return OffPolicy(sessions_of(events), resamples=200)


def top(means: np.ndarray) -> np.ndarray:
    return np.argsort(-means, axis=1)[:, :LISTED]


def test_a_clear_case_is_conclusive_and_ends_lie_around_the_value(judge: OffPolicy, means: np.ndarray) -> None:
    found = judge.value_lists(np.arange(USERS), top(means))
    assert found.conclusive
    assert found.lower < found.value < found.upper
    assert found.value == found.snips.value
    assert found.requests == USERS * 6 * 4


def test_too_few_matches_are_not_conclusive_and_the_reason_says_how_many(judge: OffPolicy) -> None:
    found = judge.value_lists(np.arange(3), np.arange(9).reshape(3, 3))
    assert not found.conclusive
    assert "effective sample size" in found.reasons[0]


def test_no_match_at_all_is_worth_0_and_not_conclusive() -> None:
    sessions = sessions_of(heldout_events([Session(0, [1, 2], [1.0, 0.5], [0.1])]))
    found = OffPolicy(sessions, resamples=2).value_lists(np.array([0]), np.array([[5]]))
    assert (found.snips.value, found.ess, found.matched, found.conclusive) == (0.0, 0.0, 0, False)


def test_a_policy_beyond_what_was_ever_recommended_is_not_conclusive(judge: OffPolicy, means: np.ndarray) -> None:
    lists = np.hstack([top(means), TRACKS + np.arange(20) + np.zeros((USERS, 1), dtype=np.int64)])
    found = judge.value_lists(np.arange(USERS), lists)
    assert found.mean_weight.value < 0.5
    assert any("never recommends some" in reason for reason in found.reasons)


def test_lists_that_know_the_sessions_are_not_conclusive(judge: OffPolicy) -> None:
    sessions = judge.sessions
    recommended = np.flatnonzero(sessions.counted)
    known = [
        np.unique(sessions.track[recommended[sessions.listener[recommended] == user]])[:3] for user in range(USERS)
    ]
    found = judge.value_lists(np.arange(USERS), np.stack(known))
    assert any("was learned from these sessions" in reason for reason in found.reasons)


def test_the_logging_policy_itself_is_worth_the_mean_of_the_log(judge: OffPolicy) -> None:
    sessions = judge.sessions
    same = SessionAware(np.where(sessions.counted, 1 / TRACKS, 0.0), sessions.counted)
    found = judge.value(same)
    assert found.ips.value == pytest.approx(sessions.time[sessions.counted].mean())
    assert found.mean_weight.value == pytest.approx(1)


def test_differences_are_drawn_on_the_same_resamples(judge: OffPolicy, means: np.ndarray) -> None:
    one = judge.value_lists(np.arange(USERS), top(means))
    assert judge.difference(one, one) == judge.difference(one, one)
    assert judge.difference(one, one).upper == 0.0
    worse = judge.value_lists(np.arange(USERS), top(-means))
    paired = judge.difference(one, worse)
    assert paired.value == pytest.approx(one.snips.value - worse.snips.value)
    assert 0 < paired.lower < paired.value < paired.upper


def test_the_sums_of_the_listeners_make_the_estimate(judge: OffPolicy, means: np.ndarray) -> None:
    found = judge.value_lists(np.arange(USERS), top(means), scores=np.sort(-means, axis=1)[:, :LISTED])
    sums = found.per_listener
    assert found.dr is not None
    assert sums.guesses is not None
    assert sums.corrections is not None
    assert found.ips.value == pytest.approx(sums.times.sum() / sums.requests.sum())
    assert found.dr.value == pytest.approx((sums.guesses + sums.corrections).sum() / sums.requests.sum())


def test_neither_the_order_of_the_lists_nor_the_scale_of_the_scores_matters(
    judge: OffPolicy, means: np.ndarray
) -> None:
    lists, scores = top(means), -np.sort(-means, axis=1)[:, :LISTED]
    order = np.random.default_rng(3).permutation(USERS)
    first = judge.value_lists(np.arange(USERS), lists, scores=scores)
    second = judge.value_lists(order, lists[order], scores=1000 * scores[order] - 7)
    assert first.dr is not None
    assert second.dr is not None
    assert second.dr.value == pytest.approx(first.dr.value, rel=1e-12)
    assert second.snips == first.snips


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serving": "sideways"}, "allowed are random, in-order"),
        ({"scores": np.zeros((1, 1))}, "scores of shape"),
        ({"scores": np.full((USERS, LISTED), np.nan)}, "finite"),
        ({"users": np.zeros(USERS, dtype=np.int64)}, "more than one list"),
        ({"users": np.arange(USERS) + 10_000}, "nothing to recommend"),
    ],
)
def test_what_cannot_be_valued_is_refused(
    judge: OffPolicy, means: np.ndarray, change: dict[str, Any], message: str
) -> None:
    arguments = {"users": np.arange(USERS), "tracks": top(means)} | change
    with pytest.raises(AnalysisError, match=message):
        judge.value_lists(**arguments)


@pytest.fixture
def folder(tmp_path: Path, means: np.ndarray) -> Path:
    """A log, lists and an experiment's report."""
    rng = np.random.default_rng(5)
    lines = []
    for number in range(3000):
        user = int(rng.integers(USERS))
        tracks = rng.integers(TRACKS, size=4).tolist()
        for place, track in enumerate(tracks):
            last = place == len(tracks) - 1
            repeated = track in tracks[:place]
            lines.append(
                {
                    "message": "last" if last else "next",
                    "timestamp": 1_767_225_600_000 + number * 100_000 + place * 1000,
                    "user": user,
                    "track": track,
                    "time": 0.0 if repeated else round(float(means[user, track]), 2),
                    "latency": 0.001,
                    "recommendation": None if last else tracks[place + 1],
                    "experiments": {},
                    "session": f"s{number}",
                    "recommender": "random",
                    "propensity": None if last else 1 / TRACKS,
                }
            )
    (tmp_path / "log").mkdir()
    _write_lines(tmp_path / "log" / "events.jsonl", lines)
    _write_lines(
        tmp_path / "lists.jsonl", [{"user": user, "tracks": listed.tolist()} for user, listed in enumerate(top(means))]
    )
    effect = {"arm": "T1", "metric": "listening", "arm_value": 0.7, "effect": 0.2, "lower": 0.15, "upper": 0.25}
    (tmp_path / "report.json").write_text(json.dumps({"effects": [effect]}))
    return tmp_path


def _write_lines(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def command(folder: Path, *more: str) -> int:
    return run(app, PROG, [str(folder / "log"), "--resamples", "50", *more])


def test_the_command_prints_a_table_and_writes_the_same_as_json(
    folder: Path, capsys: pytest.CaptureFixture[str], means: np.ndarray
) -> None:
    lists = f"T1={folder / 'lists.jsonl'}"
    measured = ["--measured", str(folder / "report.json"), "--metric", "listening"]
    out = folder / "estimates.json"
    assert command(folder, "--recommendations", lists, "--holdout", "all", "--out", str(out), *measured) == 0
    printed = capsys.readouterr().out
    document = json.loads(out.read_bytes())
    (found,) = document["recommendations"]
    assert found["conclusive"] is True
    assert found["value"] == pytest.approx(float(np.mean(np.sort(means, axis=1)[:, -LISTED:])), abs=0.03)
    assert document["sessions"] == 3000
    assert f"{found['value']:.4f}" in printed
    assert f"{document['logged']['value']:.4f}" in printed
    (row,) = document["foretold"]
    assert row["error_pct"] == pytest.approx(100 * (found["value"] / 0.7 - 1))
    assert (row["measured_lower"], row["measured_upper"]) == pytest.approx((0.65, 0.75))
    assert f"{row['error_pct']:+.1f} %" in printed


def test_factors_beside_the_lists_give_the_doubly_robust_estimate(folder: Path, means: np.ndarray) -> None:
    np.savez(
        folder / "factors.npz",
        users=np.arange(USERS), user_factors=means, tracks=np.arange(TRACKS), item_factors=np.eye(TRACKS),
    )  # fmt: skip
    out = folder / "estimates.json"
    arguments = ["--recommendations", str(folder / "lists.jsonl"), "--holdout", "all", "--out", str(out)]
    assert command(folder, *arguments) == 0
    (found,) = json.loads(out.read_bytes())["recommendations"]
    assert found["name"] == "lists"
    assert found["value"] == found["dr"]["value"]
    assert found["dr"]["upper"] - found["dr"]["lower"] < found["snips"]["upper"] - found["snips"]["lower"]
    assert command(folder, *arguments, "--no-scores") == 0
    assert json.loads(out.read_bytes())["recommendations"][0]["dr"] is None


def test_lists_that_were_learned_from_these_logs_are_not_conclusive(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (log,) = discover([folder / "log"])
    store = content_digest([digest(log)])  # what an export of a store of this log names
    (folder / "manifest.json").write_text(json.dumps({"model": "m1", "data": {"store": store}}))
    assert command(folder, "--recommendations", str(folder / "lists.jsonl"), "--holdout", "all") == 0
    assert "m1: not conclusive: the lists were learned from all sessions" in capsys.readouterr().out


def test_a_session_store_gives_the_same_as_its_log_and_knows_its_catalogue(tmp_path: Path) -> None:
    """Its events have no propensity, so that the logging policy must be stated; the number of tracks need not be."""
    sessions = random_sessions(5, listeners=40, tracks=60, sessions=900, named=False)
    store = make_store(tmp_path, sessions, tracks=60)
    (log,) = (file for file in tmp_path.rglob("*.jsonl") if store not in file.parents)
    lists = [{"user": user, "tracks": list(range(user % 3, 60, 3))} for user in range(40)]
    _write_lines(tmp_path / "lists.json", lists)
    documents = []
    out = tmp_path / "out.json"
    for place in (store, log):
        arguments = ["--recommendations", str(tmp_path / "lists.json"), "--holdout", "session_hash:0.5:1"]
        assert run(app, PROG, [str(place), *arguments, "--logging-policy", "uniform", "--out", str(out)]) == 0
        documents.append(json.loads(out.read_bytes()))
    assert documents[0]["recommendations"] == documents[1]["recommendations"]
    assert documents[0]["recommendations"][0]["value"] > 1.5 * documents[0]["logged"]["value"]
    assert documents[0]["unknown"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user": 1, "tracks": [1, 2]}\n{"user": 2}\n', "line 2 is not"),
        ('{"user": 1, "tracks": [1, 1]}\n', "a track more than once"),
        ('{"user": -1, "tracks": [1]}\n', "line 1 is not"),
        ("", "no list here"),
        ("[1]\n", "line 1 is not"),
    ],
)
def test_bad_lists_are_one_line_with_the_place_and_exit_code_2(
    folder: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lists.jsonl").write_text(content)
    assert command(folder, "--recommendations", str(folder / "lists.jsonl"), "--holdout", "all") == 2
    error = capsys.readouterr().err.splitlines()
    assert message in error[-1]
    assert str(folder / "lists.jsonl") in error[-1]


REPORT = ("--measured", "{folder}/report.json")


@pytest.mark.parametrize(
    ("lists", "more", "message"),
    [
        ("T2={folder}/lists.jsonl", REPORT, "no metric"),
        ("T2={folder}/lists.jsonl", (*REPORT, "--metric", "listening"), "no arm T2"),
        ("T1={folder}/lists.jsonl", ("--measured", "{folder}/lists.jsonl"), "not a report"),
        ("{folder}/none.jsonl", (), "cannot be read"),
        ("{folder}/lists.jsonl", ("--logging-policy", "uniform"), "number of tracks"),
    ],
)
def test_other_mistakes_are_one_line_too(
    folder: Path, lists: str, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [argument.format(folder=folder) for argument in ("--recommendations", lists, *more)]
    assert command(folder, "--holdout", "all", *arguments) == 2
    assert message in capsys.readouterr().err
