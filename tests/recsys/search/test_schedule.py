"""The schedule is a function of the scores: tables of scores in, steps and prunings out."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from analysis.statistics.effects import Interval
from recsys.config import Search
from recsys.models.registry import read_models
from recsys.models.trial import Checkpoint, Trial
from recsys.search.ledger import Score, best_score
from recsys.search.schedule import Schedule, decide, expand
from recsys.search.trials import plan_trials

METRIC = "ndcg@30"
MARGIN = 0.01  # half the width of an interval of a difference
NINE = {"als": {"factors": [4, 8, 16], "alpha": [1.0, 10.0, 40.0]}}
WITH_ACTIVATION = {**NINE, "activation": {}}
GRID = Search(iterations=6)
HALVING = Search(strategy="halving", iterations=9)


def plan(models: dict[str, Any]) -> list[Trial]:
    return plan_trials(read_models(models), "data", seed=1, is_ordered=True)


class Played:
    """A search whose fits are made up: the value of a step is looked up instead."""

    def __init__(
        self,
        search: Search,
        values: Mapping[tuple[int, int], float | None],
        models: dict[str, Any] = NINE,
    ) -> None:
        self.search = search
        self.candidates = plan(models)
        self.values = values
        self.scores: dict[str, tuple[Score, ...]] = defaultdict(tuple)
        self.taken: list[Checkpoint] = []
        self.found: dict[Checkpoint, float | None] = {}

    @property
    def schedule(self) -> Schedule:
        return decide(self.search, self.candidates, self.scores, METRIC, self.compare)

    def compare(
        self, steps: Sequence[Checkpoint], margin: float = MARGIN
    ) -> list[Interval]:
        values = np.array([self.found[step] for step in steps])
        behind = (values - values.max()).tolist()
        return [Interval(value, value - margin, value + margin) for value in behind]

    def take(self, step: Checkpoint) -> None:
        self.taken.append(step)
        self.add(step, self.values[self.number(step.trial), step.iteration])

    def add(self, step: Checkpoint, value: float | None) -> None:
        trial, iteration = step.trial, step.iteration
        self.found[step] = value
        metrics = {} if value is None else {METRIC: Interval(value, value, value)}
        error = "broken" if value is None else None
        score = Score(trial, iteration, "scorer", metrics, error=error)
        self.scores[trial.id] = (*self.scores[trial.id], score)

    def number(self, trial: Trial) -> int:
        return self.candidates.index(trial)

    def play(self, workers: int, generator: np.random.Generator) -> "Played":
        """As many steps at once as there are workers, which end in any order."""
        running: list[Checkpoint] = []
        while True:
            waiting = [step for step in self.schedule.steps if step not in running]
            running += waiting[: workers - len(running)]
            if not running:
                return self
            self.take(running.pop(int(generator.integers(len(running)))))


def random_values(
    search: Search, seed: int, failing: Sequence[int] = ()
) -> dict[tuple[int, int], float | None]:
    generator = np.random.default_rng(seed)
    pairs = itertools.product(range(len(plan(NINE))), search.scored_iterations)
    return {
        (number, iteration): None if number in failing else float(generator.random())
        for number, iteration in pairs
    }


def test_a_fit_that_has_begun_is_more_urgent_than_one_that_has_not() -> None:
    played = Played(GRID, random_values(GRID, 1))
    second = played.schedule.steps[1]
    played.take(second)
    assert played.schedule.steps[0] == Checkpoint(second.trial, 4)


def play_curves(*curves: Sequence[float]) -> "Played":
    """Play a search whose first candidates learn so; the others are far behind."""
    pairs = itertools.product(range(9), HALVING.scored_iterations)
    values: dict[tuple[int, int], float | None] = dict.fromkeys(pairs, 0.0)
    for number, curve in enumerate(curves):
        steps = zip(HALVING.scored_iterations, curve, strict=False)
        values |= {(number, iteration): value for iteration, value in steps}
    return Played(HALVING, values).play(2, np.random.default_rng(1))


def stops(played: "Played") -> dict[int, int]:
    """The iteration after which each candidate was stopped."""
    numbers = {trial.id: number for number, trial in enumerate(played.candidates)}
    return {numbers[name]: at for name, at in played.schedule.stopped.items()}


FIRST = (0.5, 0.6, 0.64, 0.66, 0.67, 0.69)  # until 6


@pytest.mark.parametrize(
    ("curves", "scored", "stopped"),
    [
        # after two iterations the second is far behind, and after three still as fast as ever
        (
            [(0.5, 0.6, 0.64, 0.66, 0.665, 0.675), (0.0, 0.1, 0.3, 0.6, 0.68, 0.7)],
            [5, 6],
            {0: 6},
        ),
        (
            [
                (0.4, 0.5, 0.55, 0.57, 0.58, 0.585),
                # it is .03 behind at 3 and gains .02 more, .025 and .005 at 4
                (0.34, 0.45, 0.52, 0.545, 0.56, 0.565),
                # it is .11 behind at 3 and gains .04
                (0.3, 0.4, 0.44, 0.46, 0.47, 0.475),
            ],
            [6, 4, 3],
            {1: 4, 2: 3},
        ),
        # a fit that ceases to gain may win; the other is .15 behind, gaining .05
        (
            [(0.6, 0.5, 0.4, 0.3, 0.2, 0.1), (0.3, 0.4, 0.45, 0.48, 0.5, 0.55)],
            [3, 3],
            {1: 3},
        ),
        # it stands still before it learns
        (
            [(0.6, 0.599, 0.598, 0.65, 0.68, 0.69), (0.6, 0.59, 0.58, 0.57, 0.56)],
            [6, 3],
            {},
        ),
        # only the best of the tied fits goes on, and the fit that may gain .035 more at 4
        (
            [
                FIRST,
                [value - 0.004 for value in FIRST],
                (0.4, 0.5, 0.6, 0.655, 0.675, 0.7),
            ],
            [5, 4, 6],
            {},
        ),
    ],
    ids=["late", "behind", "falling", "still", "tied"],
)
def test_a_fit_goes_on_while_it_may_win_and_gains(
    curves: list[Sequence[float]], scored: list[int], stopped: dict[int, int]
) -> None:
    """A fit that ends without being stopped can still win."""
    played = play_curves(*curves)
    ranked = played.candidates[: len(curves)]
    assert [len(played.scores[trial.id]) for trial in ranked] == scored
    assert stops(played) == stopped | dict.fromkeys(range(len(curves), 9), 3)
    assert played.schedule.done == {trial.id for trial in played.candidates}


def test_fits_are_compared_with_what_is_scored_once() -> None:
    """It is awaited, and stops all that cannot reach it."""
    values: dict[tuple[int, int], float | None] = {}
    for number, trial in enumerate(plan(WITH_ACTIVATION)):
        values[number, 0] = 0.9
        for iteration in HALVING.scored_iterations:
            values[number, iteration] = 0.5 - 0.1 / iteration
        assert trial.is_iterative == (trial.kind == "als")
    played = Played(HALVING, values, WITH_ACTIVATION)
    played.play(20, np.random.default_rng(1))
    assert played.taken[0].trial.kind == "activation" or len(played.taken) == 28
    assert set(stops(played).values()) == {3}
    assert len(played.schedule.stopped) == 9


@pytest.mark.parametrize("search", [HALVING, GRID])
@pytest.mark.parametrize("seed", range(5))
def test_neither_workers_nor_the_order_of_results_change_what_is_done_or_stop_the_best(
    seed: int, search: Search
) -> None:
    values = random_values(search, seed, failing=[seed, 2 * seed % 9])
    outcomes = []
    for workers, order in itertools.product((1, 2, 4, 20), range(3)):
        played = Played(search, values).play(workers, np.random.default_rng(order))
        outcomes.append(
            (set(played.taken), played.schedule.stopped, played.schedule.done)
        )
        assert len(played.taken) == len(set(played.taken))
        assert played.schedule.done == {candidate.id for candidate in played.candidates}
        steps = [score for scores in played.scores.values() for score in scores]
        best = best_score(steps, METRIC)
        assert best
        assert best.trial.id not in played.schedule.stopped
    assert all(outcome == outcomes[0] for outcome in outcomes)


def expand_to_the_end(gains: Mapping[int, float], *, steps: int = 99) -> Schedule:
    """Search from 4 and 8 factors on, whose scores do not depend on the iteration; after some steps
    the time is over."""
    search = Search(iterations=2, strategy="halving", expand=True)
    played = Played(search, {}, {"als": {"factors": [4, 8]}})
    facts = (search, played.candidates, played.scores, METRIC)
    while True:
        compare = partial(played.compare, margin=0.001)
        schedule = expand(*facts, compare, "data", is_late=steps <= 0)
        if not schedule.steps:
            return schedule
        step = schedule.steps[0]
        value = gains[step.trial.params["factors"]]
        played.add(step, value)
        steps -= 1


@pytest.mark.parametrize(
    ("gains", "limits", "tried", "ended"),
    [
        ({4: 0.1, 8: 0.3, 16: 0.2}, {}, [16], "inside"),
        ({4: 0.1, 8: 0.3, 16: 0.4, 32: 0.403}, {}, [16, 32], "less than 1 %"),
        ({4: 0.1, 8: 0.3, 16: 0.3005}, {}, [16], "within its interval"),
        ({4: 0.1, 8: 0.3, 16: 0.4}, {"steps": 5}, [16], "minutes"),
        ({4: 0.1, 8: 0.3}, {"steps": 4}, [], "minutes"),
    ],
)
def test_a_search_goes_beyond_an_edge_while_it_gains_and_may(
    gains: dict[int, float], limits: dict[str, int], tried: list[int], ended: str
) -> None:
    schedule = expand_to_the_end(gains, **limits)
    assert [trial.params["factors"] for trial in schedule.added] == tried
    assert ended in schedule.ended
