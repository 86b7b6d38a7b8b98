"""Read and write the tables of the sets: tab-separated, with a header."""

from pathlib import Path

import pandas as pd

from looplib.arrays import IntArray


def read_table(file: Path) -> pd.DataFrame:
    """Read a table."""
    return pd.read_csv(file, sep="\t")


def read_columns(file: Path, *names: str) -> IntArray:
    """Read columns of whole numbers, shape (columns, rows)."""
    return read_table(file)[[*names]].to_numpy().T


def write_table(target: Path, table: pd.DataFrame) -> None:
    """Write a table."""
    table.to_csv(target, sep="\t", index=False)


def write_pairs(target: Path, user: IntArray, item: IntArray) -> None:
    """Write pairs of a user and an item."""
    write_table(target, pd.DataFrame({"user": user, "item": item}))
