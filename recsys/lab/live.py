"""The live experiment: what the service serves, and what its log says so far."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.errors import LabError
from recsys.lab.publishing import Service

_FRESH_S = 10.0


@dataclass(frozen=True)
class Look:
    """The experiment as it stands.

    Attributes:
        url: The service.
        problem: Why nothing is known; None if it answers.
        version: The model that is served.
        created_at: When it was made.
        refused: Why a newer one is not.
        experiments: As the service tells them.
        arms: Figures of the deciding experiment's arms.
        events: Events behind these.
        note: A word about them.
    """

    url: str
    problem: str | None = None
    version: str | None = None
    created_at: str | None = None
    refused: str | None = None
    experiments: tuple[dict[str, Any], ...] = ()
    arms: dict[str, dict[str, float]] = field(default_factory=dict)
    events: int | None = None
    note: str = "no event log is given"


class Live:
    """Looks at most every few seconds, however often it is asked."""

    def __init__(self, service: Service, log: Path | None) -> None:
        """Looks at a service and its log."""
        self._service, self._log = service, log
        self._lock = threading.Lock()
        self._last: tuple[float, Look] | None = None

    def look(self) -> Look:
        """The experiment now, or a few seconds ago."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH_S:
                self._last = time.monotonic(), self._look()
            return self._last[1]

    def forget(self) -> None:
        """Makes the next look a new one."""
        with self._lock:
            self._last = None

    def _look(self) -> Look:
        try:
            told = self._service.experiments()
        except LabError as error:
            return Look(self._service.url, problem=str(error))
        return Look(
            self._service.url,
            version=told["version"],
            created_at=told["created_at"],
            refused=told["refused"],
            experiments=tuple(told["experiments"]),
        )
