"""Show progress: a live bar on a terminal, a plain line every few seconds in a log."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
)

PLAIN_INTERVAL_S = 5.0

# Progress goes to stderr, so that a command's output on stdout can be piped.
console = Console(stderr=True)
WARNING = "Warning:"  # begins the texts that warn


def say(text: str) -> None:
    """Print a text as it is, in a line, however wide the terminal is."""
    console.print(text, soft_wrap=True, markup=False)


ProgressReport = Callable[..., None]
"""Reports how much of a long job is done so far, perhaps with a note, `report(3, "ndcg 0.31")`, and
another total."""


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[ProgressReport]:
    """Show the progress of a job; the block calls the report with the units done so far.

    On a terminal it is a bar with the time left; elsewhere (CI) a line every few seconds, even
    if nothing is reported, and at the end.
    """
    columns = (
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    is_bar = console.is_terminal
    with Progress(*columns, console=console, disable=not is_bar) as bar:
        task = bar.add_task(title, total=total, note="")

        def report(done: float, note: str = "", total: float = total) -> None:
            bar.update(task, completed=done, note=note, total=total)

        with nullcontext() if is_bar else _plain_lines(bar.tasks[0], unit):
            yield report


@contextmanager
def _plain_lines(task: Task, unit: str) -> Iterator[None]:
    """Print how far a job is, every few seconds and at the end."""
    has_ended = threading.Event()

    def print_line() -> None:
        line = f"{task.description}: {task.completed:,.0f}/{task.total:,.0f} {unit}"
        texts = (line, f"{task.elapsed:.0f} s", task.fields["note"])
        text = ", ".join(filter(None, texts))
        print(text, file=sys.stderr, flush=True)  # noqa: T201  the plain display

    def print_lines() -> None:
        while not has_ended.wait(PLAIN_INTERVAL_S):
            print_line()

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
        if task.completed:  # else it failed before it began
            print_line()
