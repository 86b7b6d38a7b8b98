from pathlib import Path

import pytest

from recsys.errors import SearchError
from recsys.models.als import AlsParams
from recsys.runs.ledger import append_failure, append_score, read_ledger
from recsys.runs.scores import Checkpoint, Entry, Failure, Result, Score
from recsys.runs.trials import Trial

TRIAL = Trial("abc", AlsParams(8, 0.1, 10.0), 1)
OTHER = Trial("def", AlsParams(16, 0.1, 10.0), 1)
ENTRIES: list[Entry] = [TRIAL, OTHER, "random"]


def score(sweep: int, value: float = 1 / 3) -> Score:
    return Score(Checkpoint(sweep), {"ndcg@30": (value, value - 0.1, value + 0.1)}, 1.5, 0.25)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    file = tmp_path / "ledger.jsonl"
    for sweep in (5, 10):
        append_score(file, "scorer", Result(TRIAL), score(sweep))
    append_score(file, "scorer", Result("random"), score(0))
    return file


def test_what_is_read_is_what_was_written(ledger: Path) -> None:
    assert read_ledger(ledger, "scorer", ENTRIES) == {
        "abc": Result(TRIAL, (score(5), score(10))),
        "def": Result(OTHER),
        "random": Result("random", (score(0),)),
    }


def test_no_ledger_is_one_without_lines(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none", "scorer", [TRIAL]) == {"abc": Result(TRIAL)}


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(ledger: Path, cut: int) -> None:
    whole = ledger.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    ledger.write_bytes(whole[: -min(cut, last - 1)])
    assert read_ledger(ledger, "scorer", ENTRIES)["random"].scores == ()
    append_score(ledger, "scorer", Result("random"), score(0))
    assert ledger.read_bytes() == whole


def test_a_last_line_of_zeros_is_torn_too(ledger: Path) -> None:
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b"\0" * 100 + b"\n")
    assert len(read_ledger(ledger, "scorer", ENTRIES)["abc"].scores) == 2
    assert ledger.read_bytes() == whole


def test_a_damaged_line_before_the_last_is_refused_by_its_number(ledger: Path) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    with pytest.raises(SearchError, match=r"ledger\.jsonl, line 2: damaged .* start over with --fresh"):
        read_ledger(ledger, "scorer", ENTRIES)


def test_lines_judged_otherwise_or_of_other_trials_count_for_nothing(ledger: Path) -> None:
    assert read_ledger(ledger, "other data", ENTRIES)["random"] == Result("random")
    assert set(read_ledger(ledger, "scorer", [OTHER])) == {"def"}


def test_a_score_that_stands_twice_counts_once(ledger: Path) -> None:
    append_score(ledger, "scorer", Result(TRIAL), score(5, 0.9))
    assert read_ledger(ledger, "scorer", ENTRIES)["abc"].scores == (score(5), score(10))


def test_only_a_final_failure_is_not_tried_again(ledger: Path) -> None:
    append_failure(ledger, "scorer", Result(TRIAL), Failure("out of memory", Checkpoint(15), final=False))
    nan = Failure("NaN", Checkpoint(5), final=True)
    append_failure(ledger, "scorer", Result(OTHER), nan)
    results = read_ledger(ledger, "scorer", ENTRIES)
    assert results["abc"].failure is None
    assert results["def"].failure == nan
