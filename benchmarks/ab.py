"""The A/B report, with the original's table, against the way of the original course's notebook.

    python -m benchmarks.ab
    python -m benchmarks.ab --times 10      # memory and time of a log so many times larger

The log is rewritten once with arms, for its own events take part in no experiment. The notebook's
way (pandas, row by row) is timed on the first 100,000 events and extrapolated; ours is whole
processes, from the start of Python.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from analysis.logs.files import discover
from benchmarks import harness
from benchmarks.data import enlarge, with_arms
from benchmarks.harness import (
    Measured,
    console,
    measure_module,
    median_ratio,
    take_turns,
)
from tests.analysis.ab import notebook

NOTEBOOK_EVENTS = 100_000
EXPERIMENTS = ("ALS", "AA")


def main(
    log: Path = harness.SEED_LOG,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    times: Annotated[
        int,
        typer.Option(min=1, help="Compare with a log so many times larger instead."),
    ] = 1,
) -> None:
    """Time the report and the notebook's way in turns."""
    with tempfile.TemporaryDirectory(dir=log.parent) as name:
        folder = Path(name)
        events = with_arms(log, folder / "log", EXPERIMENTS)
        report = partial(_report, folder / "log", folder)
        report()  # warms the page cache
        if times > 1:
            larger = enlarge(folder / "log", folder / "larger", range(times))
            kinds: dict[str, Callable[[], Measured]] = {
                "report": report,
                f"report of {times} x": partial(_report, larger, folder),
            }
            title = f"{events:,} events, and {times} x as many"
            harness.show_commands(title, take_turns(kinds, 1), "report")
        else:
            _against_notebook(report, folder, events, repeats)
    harness.show_machine("duckdb", "scipy", "pandas")


def _against_notebook(
    report: Callable[[], Measured], folder: Path, events: int, repeats: int
) -> None:
    head = folder / "head.jsonl"
    with discover([folder / "log"])[0].path.open("rb") as lines:
        head.write_bytes(b"".join(islice(lines, NOTEBOOK_EVENTS)))
    notebook_s: list[float] = []

    def beside() -> Measured:
        notebook_s.append(harness.seconds(_read_as_notebook, head))
        return report()

    results = take_turns({"report": beside}, repeats)
    harness.show_commands(f"{events:,} events", results, "report", events)
    ratio = median_ratio(notebook_s, [run.wall_s for run in results["report"]])
    extrapolated = ratio * events / min(events, NOTEBOOK_EVENTS)
    console.print(
        f"the notebook's way takes {extrapolated:,.0f} x the report's time, "
        f"extrapolated to {events:,} events"
    )


def _read_as_notebook(log: Path) -> None:
    notebook.table(notebook.read([log]), EXPERIMENTS[0])


def _report(log: Path, folder: Path) -> Measured:
    return measure_module(
        "analysis.ab", log, experiment=EXPERIMENTS[0], out=folder / "report"
    )


if __name__ == "__main__":
    typer.run(main)
