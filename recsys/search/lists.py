"""Read the lists of other models from Parquet files, for the kind `recsys.models.lists`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import IdsOf
from looplib.arrays import Int32Array, IntArray
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.models.lists import lists_name
from recsys.models.topk import NO_TRACK
from recsys.store.ids import originals
from recsys.store.remote import Store

_LONGEST = 1000  # what is kept of a list


def take_lists(
    name: str, file: Path, digest: str, store: Store, dataset: Dataset
) -> str:
    """Write the lists of a file beside the dataset, as its rows and columns.

    Returns:
        A line that says how much of the file the dataset knows.

    Raises:
        SearchError: The file is no table of lists, or of other listeners or tracks.
    """
    table = _read(file)
    rows = _positions(file, table, "user", store, dataset.users)
    columns = _positions(file, table, "item", store, dataset.tracks)
    key = table.column(2).to_numpy().astype(np.float64)
    if not np.isfinite(key).all():
        raise SearchError(f"{file}: a {table.column_names[2]} is missing or not finite")
    if table.column_names[2] == "score":
        key = -key
    is_known = (rows >= 0) & (columns >= 0)
    if not is_known.any():
        raise SearchError(
            f"{file}: no row has a listener and a track of {store.workspace}"
        )
    order = np.lexsort((key[is_known], rows[is_known]))
    best = _cut(rows[is_known][order], columns[is_known][order], len(dataset.users))
    with dataset.workspace.create(lists_name(digest)) as target:
        np.save(target, best)
    listed = np.count_nonzero(best[:, 0] != NO_TRACK)
    return (
        f"lists of {name}: {listed:,} of {len(best):,} listeners have one; "
        f"{np.count_nonzero(~is_known):,} of {len(rows):,} rows name others, and are left out"
    )


def _read(file: Path) -> pa.Table:
    """Return the columns user, item, and rank or score."""
    try:
        found = pq.read_schema(file).names
        order = "rank" if "rank" in found else "score"
        if not {"user", "item", order} <= set(found):
            listed = ", ".join(found)[:200]
            raise SearchError(
                f"{file}: columns {listed} found; user, item, and rank or score are expected"
            )
        return pq.read_table(file, columns=["user", "item", order])
    except (OSError, pa.ArrowException) as error:
        raise SearchError(f"{file}: cannot be read ({error})") from None


def _positions(
    file: Path, table: pa.Table, column: str, store: Store, numbers: IntArray
) -> IntArray:
    """Return where ids stand among those of the dataset; -1 of others."""
    of: IdsOf = "users" if column == "user" else "items"
    known = originals(store, of, numbers)
    ids: npt.NDArray[np.generic] = np.array(table.column(column).to_pylist())
    is_text = known.dtype.kind == "U"
    if ids.dtype.kind not in ("U" if is_text else "iu"):
        expected = "text" if is_text else "whole numbers"
        raise SearchError(
            f"{file}: {column} is {table.schema.field(column).type}; the store's ids are {expected}"
        )
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], ids), len(known) - 1)
    return np.where(known[order][at] == ids, order[at], -1)


def _cut(rows: IntArray, columns: IntArray, listeners: int) -> Int32Array:
    """Return lists, shape (listeners, longest), of rows in order; a track counts once."""
    pairs = np.stack([rows, columns], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    first.sort()
    rows, columns = rows[first], columns[first]
    starts = np.searchsorted(rows, np.arange(listeners))
    rank = np.arange(len(rows)) - starts[rows]
    is_kept = rank < _LONGEST
    best = np.full((listeners, int(rank[is_kept].max()) + 1), NO_TRACK, np.int32)
    best[rows[is_kept], rank[is_kept]] = columns[is_kept]
    return best
