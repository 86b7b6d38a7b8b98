"""What a search does next, as a function of what it knows: tables of scores in, steps and prunings
out."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from recsys.config import Search, Space
from recsys.runs.ledger import Score
from recsys.runs.trials import Trial, plan_candidates
from recsys.search.schedule import Decisions, Step, decide

METRIC = "ndcg@30"
NINE = Space(factors=(4, 8, 16), alpha=(1.0, 10.0, 40.0))


def halving() -> Search:
    return Search(strategy="halving", space=NINE, sweeps=9, score_every=9)


def plan(search: Search) -> tuple[Trial, ...]:
    return plan_candidates(search, "data", seed=1)


def score(sweep: int, value: float) -> Score:
    return Score(sweep, {METRIC: (value, value, value)}, 1.0)


class Played:
    """A search whose fits are made up: the value of a step is looked up instead."""

    def __init__(
        self, search: Search, values: Mapping[tuple[int, int], float | None]
    ) -> None:
        self.search = search
        self.candidates = plan(search)
        self.values = values
        self.scores: dict[str, tuple[Score, ...]] = {
            trial.id: () for trial in self.candidates
        }
        self.taken: list[Step] = []

    @property
    def decisions(self) -> Decisions:
        return decide(self.search, self.candidates, self.scores, METRIC)

    def take(self, step: Step) -> None:
        self.taken.append(step)
        trial, sweep = step
        value = self.values[self.number(trial), sweep]
        found = Score(sweep, error="broken") if value is None else score(sweep, value)
        self.scores[trial.id] = (*self.scores[trial.id], found)

    def number(self, trial: Trial) -> int:
        return self.candidates.index(trial)

    def play(self, workers: int, generator: np.random.Generator) -> "Played":
        """As many steps at once as there are workers, which end in any order."""
        running: list[Step] = []
        while True:
            waiting = [step for step in self.decisions.steps if step not in running]
            running += waiting[: workers - len(running)]
            if not running:
                return self
            self.take(running.pop(int(generator.integers(len(running)))))


def random_values(
    search: Search, seed: int, failing: Sequence[int] = ()
) -> dict[tuple[int, int], float | None]:
    generator = np.random.default_rng(seed)
    pairs = itertools.product(range(len(plan(search))), search.scored_sweeps)
    return {
        (number, sweep): None if number in failing else float(generator.random())
        for number, sweep in pairs
    }


def test_a_grid_takes_every_candidate_to_the_end() -> None:
    search = Search(space=NINE, sweeps=6, score_every=2)
    played = Played(search, random_values(search, 1)).play(2, np.random.default_rng(2))
    assert len(played.taken) == len(set(played.taken)) == 9 * 3
    assert played.decisions.stopped == {}
    assert played.decisions.done == {candidate.id for candidate in played.candidates}


def test_a_fit_that_has_begun_is_more_urgent_than_one_that_has_not() -> None:
    search = Search(space=NINE, sweeps=6, score_every=2)
    played = Played(search, random_values(search, 1))
    second = played.decisions.steps[1]
    played.take(second)
    assert played.decisions.steps[0] == (second[0], 4)


def test_halving_keeps_a_third_after_each_rung() -> None:
    search = halving()
    values = {
        (number, sweep): float(number)
        for number in range(9)
        for sweep in search.scored_sweeps
    }
    played = Played(search, values).play(1, np.random.default_rng(0))
    sweeps = [(played.number(trial), sweep) for trial, sweep in played.taken]
    assert sorted(sweeps) == sorted(
        [*((number, 1) for number in range(9)), (6, 3), (7, 3), (8, 3), (8, 9)]
    )
    at = {
        played.candidates[number].id: sweep
        for number, sweep in [*((number, 1) for number in range(6)), (6, 3), (7, 3)]
    }
    assert {key: stop.sweep for key, stop in played.decisions.stopped.items()} == at
    assert (
        "not among the best 3 of 9"
        in played.decisions.stopped[played.candidates[0].id].reason
    )


@pytest.mark.parametrize("score_every", [1, 5])
@pytest.mark.parametrize("seed", range(5))
def test_neither_the_number_of_workers_nor_the_order_of_results_changes_what_is_done(
    seed: int, score_every: int
) -> None:
    search = halving().model_copy(update={"score_every": score_every})
    values = random_values(search, seed, failing=[seed, 2 * seed % 9])
    outcomes = []
    for workers, order in itertools.product((1, 2, 4, 20), range(3)):
        played = Played(search, values).play(workers, np.random.default_rng(order))
        outcomes.append(
            (set(played.taken), played.decisions.stopped, played.decisions.done)
        )
        assert len(played.taken) == len(set(played.taken))
        assert played.decisions.done == {
            candidate.id for candidate in played.candidates
        }
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_promotion_does_not_wait_for_results_that_cannot_change_it() -> None:
    """Three of nine go on: the best of seven is in whatever the last two bring, the fourth best is
    out."""
    search = halving()
    first = search.scored_sweeps[0]
    played = Played(search, {(number, first): -float(number) for number in range(9)})
    for candidate in played.candidates[:7]:
        played.take((candidate, first))
    deeper = [step for step in played.decisions.steps if step[1] != first]
    assert [trial for trial, _ in deeper] == [played.candidates[0]]
    assert set(played.decisions.stopped) == {
        candidate.id for candidate in played.candidates[3:7]
    }


def test_of_equals_the_first_of_the_plan_goes_on() -> None:
    search = halving()
    values = {
        (number, sweep): 0.5 for number in range(9) for sweep in search.scored_sweeps
    }
    played = Played(search, values).play(3, np.random.default_rng(0))
    assert played.candidates[0].id not in played.decisions.stopped


def test_a_candidate_is_never_stopped_while_it_is_the_best() -> None:
    search = halving().model_copy(update={"score_every": 1})
    for seed in range(20):
        played = Played(search, random_values(search, seed)).play(
            2, np.random.default_rng(seed)
        )
        best = max(
            (score.metrics[METRIC][0], trial)
            for trial, scores in played.scores.items()
            for score in scores
        )
        assert best[1] not in played.decisions.stopped


def test_failed_candidates_never_push_out_a_sound_one() -> None:
    search = halving()
    values = random_values(search, 3, failing=range(1, 9))
    played = Played(search, values).play(2, np.random.default_rng(0))
    assert played.decisions.stopped == {}
    assert len(played.scores[played.candidates[0].id]) == len(search.scored_sweeps)
