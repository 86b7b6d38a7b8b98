"""Tables of plays and interactions in every format, and two ways to ingest them."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.logs.lines import Reject
from analysis.logs.reader import read_rejects
from analysis.plays.draft import draft_columns, parse_columns
from analysis.store import Store
from looplib.cli import run
from recsys.ingest import __main__ as ingest_command
from recsys.ingest import pipeline

Row = dict[str, Any]
INTERACTIONS = "listener=uid,track=song,seconds=seconds,played_at=ts"


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


def random_interactions(
    seed: int, count: int, *, users: int = 40, items: int = 60
) -> list[Row]:
    """Draw rows with text ids, some of them with the same user, item and moment."""
    generator = np.random.default_rng(seed)
    return [
        {
            "uid": f"user-{generator.integers(users)} ä,\"'",
            "song": f"song {generator.integers(items)}",
            "seconds": round(float(generator.gamma(2, 90)), 3),
            "ts": 1_700_000_000 + int(generator.integers(50)) * 86_400,
        }
        for _ in range(count)
    ]


def ingest(store: Path, *argv: object) -> int:
    """Run the command; returns its exit code."""
    return run(
        ingest_command.app,
        ingest_command.PROG,
        [*map(str, argv), "--store", str(store)],
    )


def ingest_rows(
    folder: Path, rows: Sequence[Row], columns: str = INTERACTIONS
) -> Store:
    """Ingest the rows of a CSV file into the folder `store` of a folder."""
    return ingest_tables(folder, write_csv(folder / "a.csv", rows), columns=columns)


def rejects_of(store: Store) -> list[Reject]:
    """Read the rejects of a store of one source, by line."""
    (source,) = store.manifest.sources
    rejects = read_rejects(store.path / source.rejects)
    return sorted(rejects, key=lambda reject: reject.line)


def ingest_tables(folder: Path, *files: Path, columns: str = INTERACTIONS) -> Store:
    """Ingest tables into the folder `store` of a folder."""
    query = draft_columns(files, parse_columns(columns))
    return pipeline.ingest(query, folder / "store").store
