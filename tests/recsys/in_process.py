"""A cluster that is this process: calls run one after the other, the last first, and no process is
started for them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from recsys.cluster.cluster import Cluster, Job
from recsys.cluster.config import ClusterConfig


class InProcess(Cluster):
    """Stands in for `Cluster`."""

    def __init__(self, slots: int) -> None:
        super().__init__(ClusterConfig())
        self._slots = slots

    def slots(self) -> int:
        return self._slots

    def memory_limit(self) -> int | None:
        return None

    def run_jobs(self, ready: Callable[[], Iterable[Job[Any]]]) -> Iterator[Job[Any]]:
        while jobs := [*ready()]:
            job = jobs[-1]
            number, (function, *arguments) = job.waiting.pop()
            try:
                job.record(number, function(*arguments), None)
            except Exception as error:  # noqa: BLE001  any, as a worker does
                job.record(number, None, error)
            yield job


def in_process(slots: int = 1) -> Cluster:
    return InProcess(slots)


@contextmanager
def without_processes() -> Iterator[None]:
    """Run the calls of searches and exports in this process, which is faster, for the block.

    What differs on real workers is tested of the cluster, and of one search on it.
    """

    def opened(*_: object, **__: object) -> Cluster:
        return in_process()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("recsys.search.search", "recsys.export.export"):
            patch.setattr(f"{module}.Cluster", opened)
        yield
