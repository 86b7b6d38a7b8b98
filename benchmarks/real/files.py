"""Read and write the tables of the sets: tab-separated, with a header."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from looplib.arrays import IntArray


def read_table(file: Path) -> pa.Table:
    """Read a table."""
    options = pyarrow.csv.ParseOptions(delimiter="\t")
    return pyarrow.csv.read_csv(file, parse_options=options)


def read_columns(file: Path, *names: str) -> list[IntArray]:
    """Read columns of whole numbers."""
    table = read_table(file)
    return [table[name].to_numpy() for name in names]


def write_table(target: Path, table: pa.Table) -> None:
    """Write a table."""
    options = pyarrow.csv.WriteOptions(delimiter="\t", quoting_style="none")
    pyarrow.csv.write_csv(table, target, options)


def write_pairs(target: Path, user: IntArray, item: IntArray) -> None:
    """Write pairs of a user and an item."""
    write_table(target, pa.table({"user": user, "item": item}))
