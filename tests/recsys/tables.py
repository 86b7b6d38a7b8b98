"""Tables of plays and interactions for tests of the ingest: files in every format, and the command
on them."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from looplib.cli import run
from recsys.ingest import __main__ as ingest_command

Row = dict[str, Any]


def write_csv(file: Path, rows: Sequence[Row]) -> Path:
    """Values are quoted where they must be; None is empty."""
    with io.StringIO(newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode()
    file.write_bytes(
        gzip.compress(content, mtime=0) if file.suffix == ".gz" else content
    )
    return file


def write_json(file: Path, rows: Sequence[Row]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_parquet(file: Path, rows: Sequence[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file


WRITERS: dict[str, Callable[[Path, Sequence[Row]], Path]] = {
    "a.csv": write_csv,
    "a.csv.gz": write_csv,
    "a.jsonl": write_json,
    "a.parquet": write_parquet,
}


def ingest(store: Path, *argv: object) -> int:
    """Run the command; returns its exit code."""
    return run(
        ingest_command.app,
        ingest_command.PROG,
        [*map(str, argv), "--store", str(store)],
    )
