"""Listeners ask while workers, the service and Redis are killed: nothing acknowledged is lost.

One of each is killed, unless `SOAK_S` and `SOAK_KILLS` ask for a soak: `tox -e soak` has an hour
and 100 kills at random, in which memory and descriptors stay flat. Meanwhile the log is ingested
with its open segments; in a soak nights of learning, publishing, reporting and replaying, too.
"""

import itertools
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event

import numpy as np
import orjson
import psutil
import pytest

from recsys.ingest.pipeline import ingest
from tests.botify.exports import experiments_of
from tests.botify.redis_server import RedisServer
from tests.faults.served import Load, Published, Served, assert_all_logged
from tests.programs import run_python

SECONDS, KILLS = (int(os.environ.get(f"SOAK_{name}", 0)) for name in ("S", "KILLS"))
KINDS = ("worker", "redis", "service")
SLACK = 1.2
logger = logging.getLogger(__name__)
Sample = tuple[int, int]  # the largest resident bytes and open files of a worker


def kill(victim: str, served: Served, redis: RedisServer) -> None:
    """Kill a worker, Redis or the whole service; start again what does not start itself."""
    if victim == "redis":
        redis.stop()
        redis.start()
        return
    workers = served.workers()
    if victim == "worker":
        if workers:
            workers[-1].kill()
        return
    served.process.kill()
    served.process.wait(timeout=60)
    assert not psutil.wait_procs(workers, timeout=60)[1], "orphans go on"
    served.start()


def sample(served: Served) -> list[Sample]:
    with suppress(psutil.Error, ValueError):  # one ends meanwhile, or there is none
        workers = served.workers()
        return [max((each.memory_info().rss, each.num_fds()) for each in workers)]
    return []


def run_nights(published: Published, log: Path, folder: Path, stop: Event) -> int:
    """Learn from a log, publish, report and replay plays, again and again.

    Returns:
        The number of nights.
    """
    search = {
        "store": str(folder / "store"),
        "run": str(folder / "run"),
        "catalogue": str(published.catalogue),
        "models": {"als": {"factors": 4}},
        "search": {"iterations": 2},
        "validation": {"ks": [5], "select": "ndcg@5"},
        "cluster": {"workers": 1},
        "export": {"publish_anyway": True},
    }
    config, plays = folder / "search.yaml", folder / "plays.csv"
    config.write_bytes(orjson.dumps(search))
    later = 2**32  # seconds, and thus newer than the log
    rows = (
        f"{user},{7 * place},{later + place}"
        for user in range(50)
        for place in range(9)
    )
    plays.write_text("\n".join(["user,item,timestamp", *rows]))
    to = published.folder
    for night in itertools.count(1):
        for words in (
            f"ingest {log} --store {folder}/store",
            f"search --config {config} --run {folder}/runs/{night} --out {to}",
            f"ab {log} --experiment ALL --out {folder}/ab",
            f"replay {plays} --published {to} --recommender in_order --out {folder}/replay "
            "--columns user=user,item=item,timestamp=timestamp",
        ):
            if stop.is_set():
                return night - 1
            done = run_python("-m", "listening_loop.command", *words.split())
            assert done.returncode == 0, (
                f"night {night}, {words}: {done.stderr[-2000:]}"
            )
    raise AssertionError


@contextmanager
def nights(published: Published, log: Path, folder: Path) -> Iterator[None]:
    """Run nights beside the block."""
    stop = Event()
    folder.mkdir()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_nights, published, log, folder, stop)
        try:
            yield
        finally:
            stop.set()
        logger.info("%s nights", run.result())


def assert_flat(samples: Sequence[Sample]) -> None:
    """No later third of the time needs more than the first, but for some slack."""
    memory, descriptors = np.array(samples).T
    for values in (memory, descriptors):
        first, _, last = (np.median(part) for part in np.array_split(values, 3))
        assert last <= SLACK * first


@pytest.mark.slow
@pytest.mark.timeout(900 + 3 * SECONDS)
def test_kills_lose_nothing_that_was_acknowledged(
    published: Published, tmp_path: Path, own_redis: RedisServer
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    chance = np.random.default_rng(1)
    served = Served(
        published,
        log,
        processes=2,
        redis_url=own_redis.url,
        experiments=experiments_of("indexed", "random", name="ALL"),
    )
    samples: list[Sample] = []
    try:
        served.start()
        with ExitStack() as stack:
            load = stack.enter_context(Load(served.port, clients=6))
            if SECONDS:
                stack.enter_context(nights(published, log, tmp_path / "nights"))
            victims = [*KINDS, *chance.choice(KINDS, KILLS, p=[0.5, 0.25, 0.25])]
            start_s = time.monotonic()
            for number, victim in enumerate(victims, 1):
                load.wait_for(200)
                samples += sample(served)
                kill(victim, served, own_redis)
                ingest([log], store)
                pause_ends_s = start_s + SECONDS * number / len(victims)
                while time.monotonic() < pause_ends_s:
                    samples += sample(served)
                    time.sleep(0.2)
            load.wait_for(200)
            asked = served.wait_for_workers(2)
        assert served.stop() == 0
    finally:
        served.kill()
    assert_all_logged(load, log)
    report = ingest([log], store)
    assert report.store.manifest.events == len(load.answers) + asked
    assert Counter(load.answers).most_common(1)[0][1] == 1
    if SECONDS:
        memory, descriptors = np.percentile(samples, [5, 50, 95], axis=0).T
        logger.info("%s answers, %s bytes, %s", len(load.answers), memory, descriptors)
        assert_flat(samples)
