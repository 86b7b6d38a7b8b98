"""A cluster that is this process: calls run one after the other, the last first, and no process is
started for them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import pytest

from recsys.cluster.cluster import Calls, Cluster, Outcome


class InProcess:
    """Stands in for `Cluster`."""

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def slots(self) -> int:
        return self._slots

    def run(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        for arguments in reversed(calls):
            yield function(*arguments)

    def run_ready(
        self, function: Callable[..., Any], ready: Callable[[], Calls]
    ) -> Iterator[Outcome[Any]]:
        while calls := ready():
            key, arguments = list(calls.items())[-1]
            try:
                outcome = Outcome(key, function(*arguments), None)
            except Exception as error:  # noqa: BLE001  any, as a worker does
                outcome = Outcome(key, None, error)
            yield outcome


def in_process(slots: int = 1) -> Cluster:
    return cast(Cluster, InProcess(slots))


@contextmanager
def without_processes() -> Iterator[None]:
    """Run the calls of searches and exports in this process, which is faster, for the block.

    What differs on real workers is tested of the cluster, and of one search on it.
    """

    def opened(*_: object, **__: object) -> AbstractContextManager[Cluster]:
        return nullcontext(in_process())

    with pytest.MonkeyPatch.context() as patch:
        for module in ("recsys.search.search", "recsys.export.export"):
            patch.setattr(f"{module}.Cluster", opened)
        yield
