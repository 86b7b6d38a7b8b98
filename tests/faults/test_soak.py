"""A soak: listeners ask while workers, the service and Redis are killed at random.

What was acknowledged is counted once; memory and descriptors stay flat.

It lasts SOAK_S seconds, in which there are SOAK_KILLS kills: `tox -e soak` has ten minutes and 100.
"""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from recsys.ingest.pipeline import ingest
from tests.botify.redis_server import RedisServer
from tests.faults.served import (
    Insistent,
    Published,
    Served,
    assert_each_logged,
)
from tests.waiting import wait_until

SECONDS, KILLS = (
    float(os.environ.get("SOAK_S", "4")),
    int(os.environ.get("SOAK_KILLS", "2")),
)
ENOUGH_S = 60.0  # for trends
SLACK = 1.2
Sample = tuple[int, int]  # the largest resident bytes and open files of a worker


def kill_one(served: Served, redis: RedisServer, chance: np.random.Generator) -> None:
    """Kill a worker, Redis or the whole service; start again what does not start itself."""
    victim = chance.choice(["worker", "redis", "service"], p=[0.5, 0.25, 0.25])
    if victim == "redis":
        redis.stop()
        redis.start()
        return
    if victim == "service":
        workers = served.workers()
        served.process.kill()
        served.process.wait(timeout=60)
        assert not psutil.wait_procs(workers, timeout=60)[1], "orphans go on"
        served.start()
        return
    workers = served.workers()
    if workers:
        workers[chance.integers(len(workers))].kill()


def sample(served: Served) -> list[Sample]:
    with suppress(psutil.Error, ValueError):  # one ends meanwhile, or there is none
        return [
            max(
                (worker.memory_info().rss, worker.num_fds())
                for worker in served.workers()
            )
        ]
    return []


def assert_flat(samples: Sequence[Sample]) -> None:
    """No later third of the time needs more than the first, but for some slack."""
    memory, descriptors = np.array(samples).T
    for values in (memory, descriptors):
        first, _, last = (np.median(part) for part in np.array_split(values, 3))
        assert last <= SLACK * first


def test_a_soak_with_kills_loses_nothing(
    published: Published, tmp_path: Path, own_redis: RedisServer
) -> None:
    log, chance = tmp_path / "log", np.random.default_rng(1)
    samples: list[Sample] = []
    served = Served(published, log, processes=2, redis_url=own_redis.url)
    listeners = [Insistent(served.port, user, 10**9) for user in range(1980, 1986)]
    threads = [threading.Thread(target=listener.run) for listener in listeners]
    kill_times = sorted(chance.uniform(0, SECONDS, KILLS).tolist())
    try:
        served.start()
        began = time.monotonic()
        for thread in threads:
            thread.start()
        while (passed_s := time.monotonic() - began) < SECONDS or kill_times:
            if kill_times and passed_s > kill_times[0]:
                kill_times.pop(0)
                kill_one(served, own_redis, chance)
            samples += sample(served)
            time.sleep(0.2)
        wait_until(lambda: len(served.workers()) == 2, "all workers to be there")
        for listener in listeners:
            listener.stop.set()
        for thread in threads:
            thread.join(timeout=120)
        assert served.stop() == 0
    finally:
        served.kill()
    assert all(listener.answers for listener in listeners)
    assert_each_logged(listeners, log)
    report = ingest([log], tmp_path / "store")
    acknowledged = sum(len(listener.answers) for listener in listeners)
    counted = report.store.manifest.events
    assert counted == acknowledged
    if SECONDS >= ENOUGH_S:
        assert_flat(samples)
