"""Ingest of a log against DuckDB's plain copy of the same files to Parquet.

    python -m benchmarks.ingest

The plain copy reads the columns and types that it is told and checks, partitions, sorts and digests
nothing. Both are whole processes, in turns, after one copy that warms the page cache.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import typer

from analysis.store import open_store
from benchmarks.data import measure_plain_copy
from benchmarks.harness import (
    SEED_LOG,
    Measured,
    measure_module,
    show_commands,
    show_machine,
    take_turns,
)


def main(log: Path = SEED_LOG, repeats: int = 5) -> None:
    """Copy and ingest in turn."""
    with tempfile.TemporaryDirectory(dir=log.parent) as name:
        store = Path(name) / "store"
        plain = partial(measure_plain_copy, log, Path(name) / "plain.parquet")
        plain()
        kinds = {"plain copy": plain, "ingest": partial(_ingest, log, store)}
        results = take_turns(kinds, repeats)
        events = open_store(store).manifest.events
    show_commands(f"{events:,} events", results, "plain copy", events)
    show_machine("duckdb", "pyarrow")


def _ingest(log: Path, store: Path) -> Measured:
    shutil.rmtree(store, ignore_errors=True)
    return measure_module("recsys.ingest", log, store=store)


if __name__ == "__main__":
    typer.run(main)
