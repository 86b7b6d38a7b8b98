"""Which call runs next, on a pool that is made up: workers with several threads, which some calls kill."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from recsys.cluster.retry import Call, Outcome, dispatch
from recsys.errors import WorkerDiedError


class MadeUpPool:
    """Workers that end one call at a time; with a killer on board, everything on its worker dies instead."""

    def __init__(self, workers: int, threads: int, killers: set[int], order: int) -> None:
        self.places: list[Call | None] = [None] * (workers * threads)
        self.threads = threads
        self.killers = killers
        self.generator = np.random.default_rng(order)
        self.started: Counter[int] = Counter()
        self.most = 0

    def slots(self) -> int:
        return len(self.places)

    def start(self, function: Callable[..., Any], call: Call) -> None:  # noqa: ARG002  a pool's signature
        free = [place for place, running in enumerate(self.places) if running is None]
        self.places[free[int(self.generator.integers(len(free)))]] = call
        self.started[call.key] += 1
        self.most = max(self.most, sum(place is not None for place in self.places))

    def wait(self) -> Sequence[Outcome[Any]]:
        running = [place for place, call in enumerate(self.places) if call is not None]
        chosen = running[int(self.generator.integers(len(running)))]
        worker = chosen // self.threads
        beside = range(worker * self.threads, (worker + 1) * self.threads)
        on_it = [call for place in beside if (call := self.places[place]) is not None]
        if not any(call.key in self.killers for call in on_it):
            call, self.places[chosen] = self.places[chosen], None
            assert call is not None
            return [Outcome(call.key, call.key * 10, None)]
        for place in beside:
            self.places[place] = None
        return [Outcome(call.key, None, WorkerDiedError("killed")) for call in on_it]


def run(pool: MadeUpPool, calls: int) -> dict[int, Outcome[int]]:
    left = {key: Call(key, ()) for key in range(calls)}
    outcomes = {}
    for outcome in dispatch(pool, int, lambda: list(left.values())):
        del left[outcome.key]
        outcomes[outcome.key] = outcome
    return outcomes


@pytest.mark.parametrize("order", range(10))
@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (2, 1), (1, 4), (3, 2)])
@pytest.mark.parametrize("killers", [set(), {0}, {3, 4}, set(range(8))])
def test_a_call_that_kills_its_workers_fails_after_few_deaths_and_no_other_with_it(
    workers: int, threads: int, killers: set[int], order: int
) -> None:
    pool = MadeUpPool(workers, threads, killers, order)
    outcomes = run(pool, 8)
    assert set(outcomes) == set(range(8))
    assert {key for key, outcome in outcomes.items() if outcome.error} == killers
    assert all(outcomes[key].result() == key * 10 for key in set(range(8)) - killers)
    assert all(pool.started[key] == 3 for key in killers)
    assert all(str(outcomes[key].error).startswith("3 workers died running it") for key in killers)


def test_no_more_calls_run_at_once_than_there_are_slots() -> None:
    pool = MadeUpPool(2, 2, set(), 0)
    run(pool, 30)
    assert pool.most == 4


def test_the_most_urgent_call_starts_first_and_new_ones_as_they_become_ready() -> None:
    ready_after = {None: [1, 2], 1: [3, 2], 3: [2], 2: []}
    seen: list[int | None] = [None]
    pool = MadeUpPool(1, 1, set(), 0)
    outcomes = dispatch(pool, int, lambda: [Call(key, ()) for key in ready_after[seen[-1]]])
    seen.extend(outcome.key for outcome in outcomes)
    assert seen == [None, 1, 3, 2]


def test_without_a_call_no_pool_is_asked() -> None:
    assert list(dispatch(None, int, list)) == []  # type: ignore[arg-type]  # no pool
