"""What the first rows of a file are taken for."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from listening_loop.init.look import look_at
from tests.listening_loop.init.files import PLAYS


def test_lines_that_end_in_several_ways_are_read(tmp_path: Path) -> None:
    rows = "".join(f"u{u};t{n}\r\n" for u, n in PLAYS)
    (tmp_path / "mixed.csv").write_text(f"user;item\n{rows}", newline="")
    guess = look_at(tmp_path / "mixed.csv", {})
    assert (guess.rows, guess.rejected, guess.tracks) == (240, 0, 40)


def test_a_parquet_file_is_read_by_the_types_of_its_columns(tmp_path: Path) -> None:
    customers, plays = zip(*PLAYS, strict=True)
    columns: dict[str, Any] = {
        "customer": customers,
        "product": [f"p{play % 9}" for play in plays],
        "purchased_at": pa.array(plays, pa.timestamp("us")),
        "seconds": [30.0 + play for play in plays],
    }
    pq.write_table(pa.table(columns), tmp_path / "listens.parquet")
    guess = look_at(tmp_path / "listens.parquet", {})
    assert guess.reading.columns.timestamp == "purchased_at"
    assert guess.reading.columns.weight == "seconds"
    assert guess.examples[0]["item"] == "p0"
