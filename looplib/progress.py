"""Progress for people: a live bar on a terminal, a plain line every few seconds in a log."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 5.0

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

    On a terminal it is a bar with the time left; elsewhere (CI) a line every few seconds, also
    where nothing is reported, and at the end.
    """
    if not console.is_terminal:
        plain = _Plain(title, total, unit)
        plain.start()
        try:
            yield plain.report
        finally:
            plain.ended.set()
            plain.join()
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


class _Plain(threading.Thread):
    """Prints a line on what is done every few seconds, and at the end."""

    def __init__(self, title: str, total: float, unit: str) -> None:
        super().__init__(daemon=True)
        self._title, self._total, self._unit = title, total, unit
        self._reported: tuple[float, str] | None = None
        self.ended = threading.Event()

    def report(self, done: float, note: str = "") -> None:
        """Keep what the next line says."""
        self._reported = (done, note)

    def run(self) -> None:
        """Print lines until the job has ended."""
        began = time.monotonic()
        is_over = False
        while not is_over:
            is_over = self.ended.wait(PLAIN_INTERVAL_S)
            if is_over and self._reported is None:  # it failed before it began
                return
            done, note = self._reported or (0, "")
            line = f"{self._title}: {done:,.0f}/{self._total:,.0f} {self._unit}"
            seconds = f"{time.monotonic() - began:.0f} s"
            text = ", ".join(filter(None, (line, seconds, note)))
            print(text, file=sys.stderr, flush=True)  # noqa: T201  the plain display
