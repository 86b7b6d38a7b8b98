"""Data frames in and out: narwhals reads pandas, polars, Arrow and Dask alike."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from listening_loop.errors import FrameError

Frame = Any  # of pandas, polars, pyarrow or dask.dataframe


def is_frame(data: object) -> bool:
    """Return whether this is a data frame, and not a path."""
    if _is_dask(data):
        return True
    try:
        return nw.from_native(data, pass_through=True) is not data
    except nw.exceptions.DuplicateError:  # of columns, which those who read it say
        return True


def write_parquet(data: Frame, file: Path) -> None:
    """Write a data frame to a Parquet file, a Dask frame one partition at a time.

    Raises:
        FrameError: It is empty, has two columns of one name, or a column of mixed types.
    """
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        with _refusing():
            for table in _tables(data):
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table.cast(writer.schema))
                rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    if not rows:
        raise FrameError("the data frame: no row in it; at least one is expected")


def to_table(data: Frame, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a data frame, whole, as an Arrow table.

    Raises:
        FrameError: One of them is missing, or has a row without a value; or the frame has two
            columns of one name, or a column of mixed types.
    """
    with _refusing():
        table = pa.concat_tables(_tables(data))
    for column in columns:
        if column not in table.column_names:
            found = ", ".join(table.column_names)[:200]
            raise FrameError(f"the data frame: no column {column}; found are {found}")
        gaps = pc.sum(pc.is_null(table[column], nan_is_null=True)).as_py()
        if gaps:
            problem = f"{gaps:,} rows have no {column}"
            raise FrameError(f"the data frame: {problem}; leave them out, or fill them")
    return table.select(columns)


def to_frame(table: pa.Table) -> Frame:
    """Return a table as a frame of pandas, polars or Arrow: the first that is installed."""
    if find_spec("pandas"):
        return table.to_pandas()
    if find_spec("polars"):
        return import_module("polars").from_arrow(table)
    return table


def lists_frame(
    ids: Mapping[str, Sequence[Any]],
    items: Sequence[Sequence[Any]],
    **beside: Sequence[Sequence[Any]],
) -> Frame:
    """Return lists as a frame: an item's list by its ids, its rank from 1, what is beside it."""
    columns: dict[str, list[Any]] = {}
    for name, values in ids.items():
        pairs = zip(values, items, strict=True)
        columns[name] = [value for value, found in pairs for _ in found]
    columns["rank"] = [rank for found in items for rank in range(1, len(found) + 1)]
    for name, lists in {"item": items, **beside}.items():
        columns[name] = list(chain.from_iterable(lists))
    return to_frame(pa.table(columns))


def _tables(data: Frame) -> Iterator[pa.Table]:
    if _is_dask(data):
        for part in data.partitions:
            yield from _tables(part.compute())
        return
    frame = nw.from_native(data)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    yield frame.to_arrow()


def _is_dask(data: Any) -> bool:  # noqa: ANN401  anything a user gives
    return all(hasattr(data, name) for name in ("dask", "partitions", "columns"))


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise a FrameError where a frame cannot be read."""
    try:
        yield
    except nw.exceptions.NarwhalsError as error:
        raise FrameError(f"the data frame: {_line(error)}") from None
    except (pa.ArrowException, ValueError) as error:
        problem = f"a column holds values of several types ({_line(error)})"
        raise FrameError(f"the data frame: {problem}") from None


def _line(error: Exception) -> str:
    return " ".join(" ".join(map(str, error.args)).split())
