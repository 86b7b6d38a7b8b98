"""The retry rule on made-up workers with several threads, which some calls kill."""

from collections import Counter

import numpy as np
import pytest

from recsys.cluster.retry import Call, Outcome, Retries
from recsys.errors import WorkerDiedError


class MadeUpWorkers:
    """Workers that end one call at a time; a killer takes everything on its worker with it."""

    def __init__(
        self, workers: int, threads: int, killers: set[int], order: int
    ) -> None:
        self.slots: list[int | None] = [None] * (workers * threads)
        self.threads = threads
        self.killers = killers
        self.generator = np.random.default_rng(order)
        self.started: Counter[int] = Counter()

    def start(self, key: int) -> None:
        free = [slot for slot, running in enumerate(self.slots) if running is None]
        self.slots[free[int(self.generator.integers(len(free)))]] = key
        self.started[key] += 1

    def wait(self) -> list[Outcome[int]]:
        running = [slot for slot, key in enumerate(self.slots) if key is not None]
        chosen = running[int(self.generator.integers(len(running)))]
        worker = chosen // self.threads
        beside = range(worker * self.threads, (worker + 1) * self.threads)
        on_it = [key for slot in beside if (key := self.slots[slot]) is not None]
        if self.killers.isdisjoint(on_it):
            key, self.slots[chosen] = self.slots[chosen], None
            assert key is not None
            return [Outcome(key, key * 10, None)]
        for slot in beside:
            self.slots[slot] = None
        return [Outcome(key, None, WorkerDiedError("killed")) for key in on_it]


def run(workers: MadeUpWorkers, calls: int) -> dict[int, Outcome[int]]:
    retries, left = Retries(), {key: Call(key, ()) for key in range(calls)}
    outcomes: dict[int, Outcome[int]] = {}
    while left:
        running = {key for key in workers.slots if key is not None}
        startable = retries.startable(list(left.values()), running)
        for call in startable[: len(workers.slots) - len(running)]:
            workers.start(call.key)
        for outcome in workers.wait():
            if (final := retries.settle(outcome)) is not None:
                outcomes[final.key] = final
                del left[final.key]
    return outcomes


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (2, 1), (1, 4), (3, 2)])
@pytest.mark.parametrize("killers", [set(), {0}, {3, 4}, set(range(8))])
def test_a_call_that_kills_its_workers_fails_after_few_deaths_and_no_other_with_it(
    workers: int, threads: int, killers: set[int], order: int
) -> None:
    pool = MadeUpWorkers(workers, threads, killers, order)
    outcomes = run(pool, 8)
    assert {key for key, outcome in outcomes.items() if outcome.error} == killers
    assert all(outcomes[key].result() == key * 10 for key in set(range(8)) - killers)
    assert all(pool.started[key] == 3 for key in killers)
    assert all(
        str(outcomes[key].error).startswith("3 workers died running it")
        for key in killers
    )


def test_the_most_urgent_call_comes_first_and_none_twice() -> None:
    calls = [Call(key, ()) for key in (4, 2, 3)]
    assert [call.key for call in Retries().startable(calls, {2})] == [4, 3]
