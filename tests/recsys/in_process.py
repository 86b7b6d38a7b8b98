"""A cluster that is this process: calls run one after the other, the last first."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from recsys.cluster.cluster import Cluster
from recsys.cluster.retry import Outcome


class InProcess:
    """Stands in for `Cluster`."""

    threads = 1

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def slots(self) -> int:
        return self._slots

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[Outcome[Any]]:
        for position, arguments in reversed(list(enumerate(calls))):
            yield Outcome(position, function(*arguments), None)


def in_process(slots: int = 1) -> Cluster:
    return cast(Cluster, InProcess(slots))
