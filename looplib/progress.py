"""Progress for people: a live bar on a terminal, a plain line every few seconds in a log."""

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 5.0
_SILENT_S = 8.0  # after so many seconds a line is printed again

# Progress goes to stderr, so that what a command prints on stdout can be piped.
console = Console(stderr=True)


def say(text: str) -> None:
    """Print a text as it is, in one line however wide the terminal is."""
    console.print(text, soft_wrap=True, markup=False)


class ProgressReport(Protocol):
    """Reports the progress of a long job."""

    def __call__(self, done: float, note: str = "") -> None:
        """Report how much is done so far, and a note."""


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
    """Show the progress of a job; the block calls the report with what is done so far, in units.

    On a terminal it is a bar with the time left; elsewhere (CI) a line at the start, at the end,
    and every few seconds in between, also where nothing is reported.
    """
    if not console.is_terminal:
        plain, ended = _Plain(title, total, unit), threading.Event()
        repeater = threading.Thread(target=plain.repeat, args=(ended,), daemon=True)
        repeater.start()
        try:
            yield plain.report
        finally:
            ended.set()
            repeater.join()
        return
    columns = (
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*Progress.get_default_columns(), *columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")

        def report(done: float, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield report


class _Plain:
    """Plain lines on what is done."""

    def __init__(self, title: str, total: float, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._start, self._shown = time.monotonic(), -math.inf
        self._last = (0.0, "")

    def report(self, done: float, note: str = "") -> None:
        """Print a line, unless another was just printed."""
        self._last = (done, note)
        now = time.monotonic()
        if done < self._total and now - self._shown < PLAIN_INTERVAL_S:
            return
        self._shown = now
        words = [
            f"{self._title}: {done:,.0f}/{self._total:,.0f} {self._unit}",
            f"{now - self._start:.0f} s",
        ]
        words += [note] if note else []
        print(", ".join(words), file=sys.stderr, flush=True)  # noqa: T201  the plain display

    def repeat(self, ended: threading.Event) -> None:
        """Print what was reported last, again and again, until the job has ended."""
        while not ended.wait(_SILENT_S):
            if self._last[0] < self._total:
                self.report(*self._last)
