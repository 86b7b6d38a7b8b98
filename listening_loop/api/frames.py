"""Data frames as users bring them: narwhals reads pandas, polars, Arrow and Dask alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis.store import number_of
from listening_loop.errors import LoopError
from looplib.arrays import AnyArray, IntArray
from recsys.store.ids import encode_rows

DEFAULT_FOLDER = Path("out")  # takes data frames as stores and catalogues
Frame = Any  # a data frame of pandas, polars, pyarrow or dask.dataframe


def is_frame(data: object) -> bool:
    """Tell a data frame from a path and a list of paths."""
    return not isinstance(data, (str, Path, list, tuple))


def write_parquet(data: Frame, file: Path) -> None:
    """Write a data frame to a Parquet file, a Dask frame partition by partition.

    Raises:
        LoopError: It is no data frame or empty, or has two columns with the same name or a column
            of mixed types.
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
        raise LoopError("the data frame: it has no rows; at least one is expected")


def write_catalogue(data: Frame) -> Path:
    """Write a data frame of tracks to a file in `out/` that is named by its content.

    Raises:
        LoopError: It is no data frame.
    """
    content = encode_rows(to_table(data))
    file = DEFAULT_FOLDER / f"tracks-{sha256(content).hexdigest()[:12]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def to_table(data: Frame) -> pa.Table:
    """Convert a whole data frame to an Arrow table.

    Raises:
        LoopError: It is no data frame, or has two columns with the same name or a column of mixed
            types.
    """
    with _refusing():
        return pa.concat_tables(_tables(data))


def _tables(data: Frame) -> Iterator[pa.Table]:
    # listening time is stored in seconds
    seconds = nw.selectors.by_dtype(nw.Duration).dt.total_microseconds() / 1e6
    for part in getattr(data, "partitions", [data]):  # a Dask frame has several
        frame = part.compute() if hasattr(part, "compute") else part
        table = nw.from_native(frame, pass_through=True)
        if table is frame:
            kind = type(frame).__name__
            problem = "a data frame of pandas, polars, Arrow or Dask is expected"
            raise LoopError(f"{kind}: {problem}")
        yield table.lazy().with_columns(seconds).collect().to_arrow()


def sum_weights(
    data: Frame, user: str, item: str, weight: str | None
) -> tuple[AnyArray, AnyArray, csr_matrix] | None:
    """Sum the weights of a data frame by user and item; a pair counts 1 without weights.

    >>> rows = {"who": ["bob", "ann", "bob"], "song": [8, 7, 8], "seconds": [15, 60, 20]}
    >>> users, items, sums = sum_weights(pa.table(rows), "who", "song", "seconds")
    >>> users.tolist(), items.tolist(), sums.toarray().tolist()
    (['ann', 'bob'], [7, 8], [[60.0, 0.0], [0.0, 35.0]])

    Returns:
        The ids of users and items, in the order of a store, and the sums, shape (users, items);
            None if a row is not good, or a column is missing: an ingest says which.
    """
    table = to_table(data)
    names = [user, item, *([weight] if weight else [])]
    if not table.num_rows or not set(names) <= set(table.column_names):
        return None
    columns = [table[name].combine_chunks() for name in names]
    weights = np.ones(table.num_rows)
    if weight:
        kind = columns[2].type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return None
        weights = columns[2].to_numpy(zero_copy_only=False).astype(np.float64)
    ids = [_read_ids(column) for column in columns[:2]]
    if not all(map(len, ids)) or not (np.isfinite(weights) & (weights > 0)).all():
        return None
    (users, row), (items, column) = map(_number, ids)
    shape = (len(users), len(items))
    sums = csr_matrix((weights, (row, column)), shape)
    return users, items, sums.astype(np.float32)


def _number(ids: AnyArray) -> tuple[AnyArray, IntArray]:
    """Number ids as a store does.

    Returns:
        The distinct ids in order, and the position of each id among them.
    """
    distinct, positions = np.unique(ids, return_inverse=True)
    if distinct.dtype.kind != "U":
        return distinct, positions
    order = np.argsort([number_of(name) for name in distinct.tolist()])
    return distinct[order], np.argsort(order)[positions]


def _read_ids(column: pa.Array) -> AnyArray:
    """Read ids: texts, or whole numbers from 0; empty if there is another value."""
    good = np.empty(0)
    if column.null_count:
        return good
    if pa.types.is_integer(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return numbers.astype(np.int64) if numbers.min() >= 0 else good
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return good
    texts = np.array(column.to_pylist())
    return texts if (np.strings.strip(texts) == texts).all() and texts.all() else good


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
