"""Progress for people: a live bar on a terminal, a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 5.0

# Progress goes to stderr, so that what a command prints on stdout can be piped.
console = Console(stderr=True)


class ProgressReport(Protocol):
    """Reports the progress of a long job."""

    def __call__(self, done: float, note: str = "") -> None:
        """Report how much is done so far, and a note."""


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
    """Show the progress of a job; the block calls the report with what is done so far, in units.

    On a terminal it is a bar with the time left; elsewhere (CI) a line at the start, at the end,
    and every few seconds in between.
    """
    if not console.is_terminal:
        yield _plain_report(title, total, unit)
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


def _plain_report(title: str, total: float, unit: str) -> ProgressReport:
    start, shown = time.monotonic(), float("-inf")

    def report(done: float, note: str = "") -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total and now - shown < PLAIN_INTERVAL_S:
            return
        shown = now
        line = f"{title}: {done:,.0f}/{total:,.0f} {unit}, {now - start:.0f} s"
        shown_note = f", {note}" if note else ""
        print(f"{line}{shown_note}", file=sys.stderr, flush=True)  # noqa: T201  the plain display

    return report
