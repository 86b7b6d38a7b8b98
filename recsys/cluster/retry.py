"""Decide which calls may start on workers that can die, and when a call has failed."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from recsys.errors import WorkerDiedError

T = TypeVar("T")
# deaths of its worker after which a call may still run beside others
TRUSTED_DEATHS = 1


@dataclass(frozen=True)
class Call:
    """Arguments of the function that workers run, and a key that identifies the call."""

    key: Any
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one call ended: what it returned, or what it raised, such as that its worker died."""

    key: Any  # the call's
    value: T | None
    error: BaseException | None

    def result(self) -> T:
        """Return what the call returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a call that returned None has T = None


class Retries:
    """The calls whose workers died, in one run of calls.

    A call whose worker dies runs again. A worker can run several calls, and nobody knows which of
    them killed it: a call that was there at more than `TRUSTED_DEATHS` deaths runs alone, and has
    failed if its worker dies even then.
    """

    def __init__(self) -> None:
        """Begin without a death."""
        self._deaths: Counter[Any] = Counter()

    def startable(
        self, calls: Sequence[Call], running: Collection[Any]
    ) -> Sequence[Call]:
        """Select, of calls without a final outcome, those that may start beside the running."""
        waiting = [call for call in calls if call.key not in running]
        suspects = [call for call in waiting if self._is_suspect(call.key)]
        if suspects or any(self._is_suspect(key) for key in running):
            return [] if running else suspects[:1]
        return waiting

    def settle(self, outcome: Outcome[T]) -> Outcome[T] | None:
        """Return the final outcome of a call that ended, or None if it runs again."""
        if not isinstance(outcome.error, WorkerDiedError):
            return outcome
        ran_alone = self._is_suspect(outcome.key)
        self._deaths[outcome.key] += outcome.error.deaths
        if not ran_alone:
            return None
        deaths = self._deaths[outcome.key]
        message = (
            f"{deaths} workers died running it, the last with nothing beside it; "
            "most likely out of memory"
        )
        return Outcome(outcome.key, None, WorkerDiedError(message, deaths))

    def _is_suspect(self, key: object) -> bool:
        return self._deaths[key] > TRUSTED_DEATHS
