"""Progress for people: a live bar on a terminal, a plain line every few seconds in a log."""

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, Self

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 5.0
# before so many seconds, or so small a share of the work, the rest cannot be estimated
_SANE_S, _SANE_SHARE = 10.0, 0.05
_SILENT_S = 8.0  # after so many seconds without news, a log gets the last line again

# Progress goes to stderr, so that what a command prints on stdout can be piped.
console = Console(stderr=True)


class ProgressReport(Protocol):
    """Reports the progress of a long job."""

    def __call__(self, done: float, note: str = "") -> None:
        """Report how much is done so far, and a note."""


@contextmanager
def progress(
    title: str, total: float, unit: str, before: int = 0, *, is_most: bool = False
) -> Iterator[ProgressReport]:
    """Show the progress of a job; the block calls the report with what is done so far, in units.

    On a terminal it is a bar with the time left; elsewhere (CI) a line at the start, at the end,
    and every few seconds in between. `before` is what an earlier run has done, which says nothing
    about the time left. With `is_most`, the total is the most that there can be to do.
    """
    if not console.is_terminal:
        with _Plain(title, total, unit, before, is_most=is_most) as plain:
            yield plain.report
        return
    *columns, left = Progress.get_default_columns()
    if is_most:
        columns.append(TextColumn("at most"))
    columns += (
        left,
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=before, note="")

        def report(done: float, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield report


class _Plain:
    """Plain lines: when something is reported, and again where nothing is for a while."""

    def __init__(
        self, title: str, total: float, unit: str, before: int, *, is_most: bool
    ) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._before, self._left = before, "s left at most" if is_most else "s left"
        self._start = time.monotonic()
        self._shown = -math.inf
        self._last = (float(before), "")
        self._ended = threading.Event()
        self._repeater = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Self:
        """Begin to repeat the last line."""
        self._repeater.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._ended.set()
        self._repeater.join()

    def _repeat(self) -> None:
        while not self._ended.wait(_SILENT_S):
            self.report(*self._last)

    def report(self, done: float, note: str = "") -> None:
        """Print a line, unless the last was just printed."""
        self._last = (done, note)
        now = time.monotonic()
        if done < self._total and now - self._shown < PLAIN_INTERVAL_S:
            return
        self._shown = now
        elapsed = now - self._start
        words = [
            f"{self._title}: {done:,.0f}/{self._total:,.0f} {self._unit}",
            f"{elapsed:.0f} s",
        ]
        new = (done - self._before) / max(self._total - self._before, 1)
        if done < self._total and elapsed >= _SANE_S and new >= _SANE_SHARE:
            left = elapsed / (done - self._before) * (self._total - done)
            words.append(f"{left:.0f} {self._left}")
        words += [note] if note else []
        print(", ".join(words), file=sys.stderr, flush=True)  # noqa: T201  the plain display
