"""Data frames as users bring them: narwhals reads pandas, polars, Arrow and Dask alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from listening_loop.errors import LoopError

Frame = Any  # of pandas, polars, pyarrow or dask.dataframe


def is_frame(data: object) -> bool:
    """Tell a data frame from a path and a list of paths."""
    return not isinstance(data, (str, Path, list, tuple))


def write_parquet(data: Frame, file: Path) -> None:
    """Write a data frame to a Parquet file, a Dask frame one partition at a time.

    Raises:
        LoopError: It is no data frame or empty, has two columns of one name, or a column of mixed
            types.
    """
    rows = 0
    with _refusing():
        tables = _tables(data)
        first = next(tables)
        with pq.ParquetWriter(file, first.schema) as writer:
            for table in (first, *tables):
                writer.write_table(table.cast(first.schema))
                rows += table.num_rows
    if not rows:
        raise LoopError("the data frame: no row in it; at least one is expected")


def to_table(data: Frame) -> pa.Table:
    """Convert a whole data frame to an Arrow table.

    Raises:
        LoopError: It is no data frame, has two columns of one name, or a column of mixed types.
    """
    with _refusing():
        return pa.concat_tables(_tables(data))


def _tables(data: Frame) -> Iterator[pa.Table]:
    # time that was heard is stored in seconds
    seconds = nw.selectors.by_dtype(nw.Duration).dt.total_microseconds() / 1e6
    for part in getattr(data, "partitions", [data]):  # of Dask
        frame = part.compute() if hasattr(part, "compute") else part
        table = nw.from_native(frame, pass_through=True)
        if table is frame:
            kind = type(frame).__name__
            problem = "a data frame of pandas, polars, Arrow or Dask is expected"
            raise LoopError(f"{kind}: {problem}")
        yield table.lazy().with_columns(seconds).collect().to_arrow()


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise errors of the libraries as one line."""
    try:
        yield
    except (
        nw.exceptions.NarwhalsError,
        pa.ArrowException,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())
        raise LoopError(f"the data frame: {reason}") from None
