"""Progress for people: a live bar on a terminal, a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_INTERVAL_S = 5.0

# Progress goes to stderr, so that what a command prints on stdout can be piped.
console = Console(stderr=True)
WIDTH = 150  # of tables where the width is not known: a pipe, a CI log, a file


def output() -> Console:
    """Stdout, for tables; they are not squeezed into 80 columns where it is no terminal."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


class Report(Protocol):
    """What the worker of a long job calls."""

    def __call__(self, done: float, note: str = "") -> None:
        """Says how much is done so far, and anything worth a word."""


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[Report]:
    """Shows how far a job is; the block calls the report with what is done so far, in units.

    On a terminal it is a bar with the time left; elsewhere (ssh without a terminal, CI) a line at the start, at the
    end, and at most every `PLAIN_INTERVAL_S` seconds in between.
    """
    if console.is_terminal:
        with _bar(title, total, unit) as report:
            yield report
    else:
        yield _Lines(title, total, unit)


@contextmanager
def _bar(title: str, total: float, unit: str) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as display:
        task = display.add_task(title, total=total, note="")

        def report(done: float, note: str = "") -> None:
            display.update(task, completed=done, note=note)

        yield report


class _Lines:
    def __init__(self, title: str, total: float, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._start = time.monotonic()
        self._last = float("-inf")

    def __call__(self, done: float, note: str = "") -> None:
        now = time.monotonic()
        if done < self._total and now - self._last < PLAIN_INTERVAL_S:
            return
        self._last = now
        elapsed = now - self._start
        left = elapsed / done * (self._total - done) if done else float("nan")
        left_text = "" if done >= self._total or left != left else f", {left:.0f} s left"
        words = [
            f"{self._title}: {done:,.0f}/{self._total:,.0f} {self._unit}, {elapsed:.0f} s{left_text}",
            note,
        ]
        print(", ".join(word for word in words if word), file=sys.stderr, flush=True)  # noqa: T201  the plain display
