"""The ledger: what is read is what was written, however the process that wrote it ended."""

from pathlib import Path

import pytest

from analysis.statistics.effects import Interval
from recsys.models.trial import Trial
from recsys.search.ledger import Ledger, Score

TRIAL = Trial("abc", "als", {"factors": 8}, 1)
OTHER = Trial("def", "als", {"factors": 16}, 1)
POPULAR = Trial("popular", "popular", {}, 1)


def score(iteration: int, value: float = 1 / 3, trial: Trial = TRIAL) -> Score:
    metrics = {"ndcg@30": Interval(value, value - 0.1, value + 0.1)}
    return Score(trial, iteration, "scorer", metrics, 1.5)


OF_POPULAR = score(0, trial=POPULAR)


def read(file: Path) -> Ledger:
    return Ledger(file, "scorer")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    ledger = read(tmp_path / "ledger.jsonl")
    for added in (score(5), score(10), OF_POPULAR):
        ledger.add(added)
    assert read(tmp_path / "ledger.jsonl").scores == ledger.scores
    return tmp_path / "ledger.jsonl"


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(
    file: Path, cut: int
) -> None:
    whole = file.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    file.write_bytes(whole[: -min(cut, last - 1)])
    ledger = read(file)
    assert ledger.scores["popular"] == ()
    ledger.add(OF_POPULAR)
    assert file.read_bytes() == whole


def test_a_last_line_of_zeros_is_torn_too(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0" * 100 + b"\n")
    assert len(read(file).scores["abc"]) == 2
    assert file.read_bytes() == whole


UNSEALED = b'{"trial": "abc", "scorer": "scorer", "iteration": 10}'


@pytest.mark.parametrize("line", [b"123", b"{}", UNSEALED, b"\xff", b"[" * 9999])
def test_a_damaged_line_before_others_costs_its_own_step_which_is_run_again(
    file: Path, line: bytes
) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(line + b"\n" + lines[1] + lines[2])
    ledger = read(file)
    assert ledger.scores == {"abc": (score(10),), "popular": (OF_POPULAR,)}
    assert [damage[:16] for damage in ledger.damaged] == ["line 1: damaged "]
    assert file.read_bytes() == lines[1] + lines[2]
    ledger.add(score(5))
    assert ledger.scores["abc"] == (score(5), score(10))
    assert read(file).scores["abc"] == (score(5), score(10))


def test_a_score_whose_listeners_are_gone_is_scored_again(file: Path) -> None:
    ledger = Ledger(file, "scorer", lambda checkpoint: checkpoint.iteration != 10)
    assert ledger.scores["abc"] == (score(5),)
    assert ledger.damaged == [
        "trial abc after iteration 10: the listeners' parts of its score are not whole"
    ]


def test_lines_scored_otherwise_count_for_nothing(file: Path) -> None:
    assert Ledger(file, "other data").scores["popular"] == ()


def test_of_an_iteration_that_stands_twice_the_last_score_counts(file: Path) -> None:
    """It has every metric, and the first the choosing one alone."""
    read(file).add(score(5, 0.9))
    assert read(file).scores["abc"] == (score(5, 0.9), score(10))


def test_only_a_final_failure_is_not_tried_again(file: Path) -> None:
    ledger = read(file)
    nan = Score(OTHER, 5, "scorer", error="NaN")
    ledger.add(Score(TRIAL, 15, "scorer", error="out of memory", is_final=False))
    ledger.add(nan)
    assert read(file).scores == {
        "abc": (score(5), score(10)),
        "def": (nan,),
        "popular": (OF_POPULAR,),
    }
