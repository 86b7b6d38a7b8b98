"""What a search does next, as a function of what it knows: tables of scores in, steps and prunings
out."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from recsys.config import Models, Search, Space
from recsys.runs.ledger import Score
from recsys.runs.trials import Trial, plan_candidates
from recsys.scoring import MetricValue
from recsys.search.schedule import Decisions, Step, decide

METRIC = "ndcg@30"
MARGIN = 0.01  # half the width of an interval of a difference
NINE = Space(factors=(4, 8, 16), alpha=(1.0, 10.0, 40.0))


def halving() -> Search:
    return Search(strategy="halving", space=NINE, sweeps=9)


def plan(search: Search, *, is_ordered: bool = False) -> tuple[Trial, ...]:
    return plan_candidates(search, "data", seed=1, is_ordered=is_ordered)


def score(sweep: int, value: float) -> Score:
    return Score(sweep, {METRIC: (value, value, value)}, 1.0)


class Played:
    """A search whose fits are made up: the value of a step is looked up instead."""

    def __init__(
        self, search: Search, values: Mapping[tuple[int, int], float | None]
    ) -> None:
        self.search = search
        self.candidates = plan(search, is_ordered=bool(search.models.activation))
        self.values = values
        self.scores: dict[str, tuple[Score, ...]] = {
            trial.id: () for trial in self.candidates
        }
        self.taken: list[Step] = []

    @property
    def decisions(self) -> Decisions:
        return decide(self.search, self.candidates, self.scores, METRIC, self.compare)

    def compare(self, steps: Sequence[Step]) -> list[MetricValue]:
        values = [
            next(
                score.metrics[METRIC][0]
                for score in self.scores[trial.id]
                if score.sweep == sweep
            )
            for trial, sweep in steps
        ]
        behind = [value - max(values) for value in values]
        return [(value, value - MARGIN, value + MARGIN) for value in behind]

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


def play_curves(*curves: Sequence[float], search: Search | None = None) -> "Played":
    """Play a search whose first candidates learn so; the others are far behind."""
    search = search or halving()
    sweeps = search.scored_sweeps
    values: dict[tuple[int, int], float | None] = {}
    for number in range(9):
        curve = curves[number] if number < len(curves) else [0.0] * len(sweeps)
        values |= {
            (number, sweep): value for sweep, value in zip(sweeps, curve, strict=False)
        }
    return Played(search, values).play(2, np.random.default_rng(1))


def stops(played: "Played") -> dict[int, int]:
    """The sweep after which each candidate was stopped."""
    found = played.decisions.stopped
    return {
        number: found[trial.id].sweep
        for number, trial in enumerate(played.candidates)
        if trial.id in found
    }


def test_halving_scores_often_at_first_and_then_after_half_as_many_sweeps_again() -> (
    None
):
    assert halving().scored_sweeps == (1, 2, 3, 4, 6, 9)


def test_nothing_is_stopped_before_its_curve_is_known() -> None:
    """After two sweeps the second is far behind, and after three still as fast as ever."""
    best = (0.5, 0.6, 0.64, 0.66, 0.665, 0.675)
    late = (0.0, 0.1, 0.3, 0.6, 0.68, 0.7)
    played = play_curves(best, late)
    assert stops(played) == {0: 6} | dict.fromkeys(range(2, 9), 3)
    assert played.decisions.done == {trial.id for trial in played.candidates}
    assert len(played.scores[played.candidates[1].id]) == 6


def test_what_is_behind_by_more_than_it_may_still_gain_is_stopped() -> None:
    best = (0.4, 0.5, 0.55, 0.57, 0.58, 0.585)
    near = (
        0.34,
        0.45,
        0.52,
        0.545,
        0.56,
        0.565,
    )  # at 3: .03 behind, and gains .02 more
    far = (0.3, 0.4, 0.44, 0.46, 0.47, 0.475)  # at 3: .11 behind, and gains .04
    played = play_curves(best, near, far)
    assert stops(played)[2] == 3
    assert stops(played)[1] == 4  # .025 behind, and gains .005 more
    stopped = played.decisions.stopped[played.candidates[2].id]
    assert stopped.reason.startswith("behind the best by more than its interval")


def test_a_fit_that_ceases_to_gain_goes_no_further_and_may_win() -> None:
    falling = (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    rising = (0.3, 0.4, 0.45, 0.48, 0.5, 0.55)
    played = play_curves(falling, rising)
    best, other = played.candidates[:2]
    assert [score.sweep for score in played.scores[best.id]] == [1, 2, 3]
    assert best.id not in played.decisions.stopped
    assert stops(played)[1] == 3  # .15 behind, gaining .05
    assert other.id in played.decisions.done


def test_a_fit_that_stands_still_before_it_learns_goes_on() -> None:
    still = (0.6, 0.599, 0.598, 0.65, 0.68, 0.69)
    played = play_curves(still, (0.6, 0.59, 0.58, 0.57, 0.56, 0.55))
    assert len(played.scores[played.candidates[0].id]) == len(still)


def test_fits_are_compared_with_what_takes_no_sweeps() -> None:
    """It is awaited, and stops all that cannot reach it."""
    search = halving().model_copy(
        update={"models": Models.model_validate({"activation": {"decay": 0.5}})}
    )
    values: dict[tuple[int, int], float | None] = {}
    for number, trial in enumerate(plan(search, is_ordered=True)):
        values[number, 0] = 0.9
        for sweep in search.scored_sweeps:
            values[number, sweep] = 0.5 - 0.1 / sweep
        assert trial.takes_sweeps == (trial.kind == "als")
    played = Played(search, values).play(20, np.random.default_rng(1))
    assert played.taken[0][0].kind == "activation" or len(played.taken) == 28
    assert set(stops(played).values()) == {3}
    assert len(played.decisions.stopped) == 9


@pytest.mark.parametrize("is_halving", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_neither_the_number_of_workers_nor_the_order_of_results_changes_what_is_done(
    seed: int, is_halving: bool
) -> None:
    search = halving() if is_halving else Search(space=NINE, sweeps=6, score_every=2)
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


def test_what_is_tied_with_the_best_is_never_stopped() -> None:
    search = halving()
    values: dict[tuple[int, int], float | None] = {
        (number, sweep): 0.5 - 0.001 * number + 0.001 * sweep
        for number in range(9)
        for sweep in search.scored_sweeps
    }
    played = Played(search, values).play(3, np.random.default_rng(0))
    assert played.decisions.stopped == {}


def test_of_what_is_tied_only_the_best_and_what_may_be_better_go_on() -> None:
    first = (0.5, 0.6, 0.64, 0.66, 0.67, 0.69)  # until 6
    level = tuple(value - 0.004 for value in first)
    faster = (0.4, 0.5, 0.6, 0.655, 0.675, 0.7)  # at 4: gains .035 more
    played = play_curves(first, level, faster)
    lengths = [len(played.scores[trial.id]) for trial in played.candidates[:3]]
    assert lengths == [5, 4, 6]
    assert not {trial.id for trial in played.candidates[:3]} & set(
        played.decisions.stopped
    )


def test_a_candidate_is_never_stopped_while_it_is_the_best() -> None:
    search = halving()
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
    assert len(played.scores[played.candidates[0].id]) >= 3
