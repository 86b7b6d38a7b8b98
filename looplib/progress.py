"""Show progress: a live bar on a terminal, a plain line every few seconds in a log."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 5.0

# Progress goes to stderr, so that what a command prints on stdout can be piped.
console = Console(stderr=True)


def say(text: str) -> None:
    """Print a text as it is, in one line however wide the terminal is."""
    console.print(text, soft_wrap=True, markup=False)


ProgressReport = Callable[..., None]
"""Reports how much of a long job is done so far, perhaps with a note, `report(3, "ndcg 0.31")`, and
another total."""


def progress(
    title: str, total: float, unit: str
) -> AbstractContextManager[ProgressReport]:
    """Show the progress of a job; the block calls the report with what is done so far, in units.

    On a terminal it is a bar with the time left; elsewhere (CI) a line every few seconds, also
    where nothing is reported, and at the end.
    """
    show = _bar if console.is_terminal else _plain_lines
    return show(title, total, unit)


@contextmanager
def _bar(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
    columns = (
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")

        def report(done: float, note: str = "", total: float = total) -> None:
            bar.update(task, completed=done, note=note, total=total)

        yield report


@contextmanager
def _plain_lines(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
    latest: tuple[float, str, float] | None = None
    has_ended = threading.Event()
    began = time.monotonic()

    def report(done: float, note: str = "", total: float = total) -> None:
        nonlocal latest
        latest = (done, note, total)

    def print_line() -> None:
        done, note, size = latest or (0, "", total)
        line = f"{title}: {done:,.0f}/{size:,.0f} {unit}"
        text = ", ".join(
            filter(None, (line, f"{time.monotonic() - began:.0f} s", note))
        )
        print(text, file=sys.stderr, flush=True)  # noqa: T201  the plain display

    def print_lines() -> None:
        while not has_ended.wait(PLAIN_INTERVAL_S):
            print_line()

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield report
    finally:
        has_ended.set()
        thread.join()
        if latest:  # else it failed before it began
            print_line()
