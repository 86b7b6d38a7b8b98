"""The A/B report against DuckDB's plain copy of the log, and the way of the original's notebook.

    python -m benchmarks.ab

The log is rewritten once with arms, for its own events take part in no experiment. The notebook's
way (pandas, row by row) is timed on the first 100,000 events and extrapolated; ours is whole
processes, from the start of Python.
"""

import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import typer

from analysis.logs.files import discover
from benchmarks.data import measure_plain_copy, with_arms
from benchmarks.harness import (
    SEED_LOG,
    console,
    measure_module,
    median_ratio,
    seconds,
    show_commands,
    show_machine,
    take_turns,
)
from tests.analysis.ab import notebook

NOTEBOOK_EVENTS = 100_000
EXPERIMENTS = ("ALS", "AA")


def main(
    log: Path = SEED_LOG,
    repeats: int = 3,
) -> None:
    """Time the report and the notebook's way in turns."""
    with tempfile.TemporaryDirectory(dir=log.parent) as name:
        folder = Path(name)
        events = with_arms(log, folder / "log", EXPERIMENTS)
        report = partial(
            measure_module,
            "analysis.ab",
            folder / "log",
            experiment=EXPERIMENTS[0],
            out=folder / "report",
        )
        plain = partial(measure_plain_copy, folder / "log", folder / "plain.parquet")
        plain()  # warms the page cache
        head = folder / "head.jsonl"
        with discover([folder / "log"])[0].path.open("rb") as lines:
            head.write_bytes(b"".join(islice(lines, NOTEBOOK_EVENTS)))
        notebook_s = [
            seconds(lambda: notebook.table(notebook.read([head]), EXPERIMENTS[0]))
            for _ in range(repeats)
        ]
        runs = take_turns({"plain copy": plain, "report": report}, repeats)
    show_commands(f"{events:,} events", runs, "plain copy", events)
    ratio = median_ratio(notebook_s, [run.wall_s for run in runs["report"]])
    extrapolated = ratio * events / min(events, NOTEBOOK_EVENTS)
    console.print(
        f"the notebook's way takes {extrapolated:,.0f} x the report's time, "
        f"extrapolated to {events:,} events"
    )
    show_machine("duckdb", "scipy", "pandas")


if __name__ == "__main__":
    typer.run(main)
