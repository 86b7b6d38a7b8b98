"""Lists of other models, from Parquet files, as rows and columns of a dataset."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.store import Store
from looplib.arrays import NO_TRACK
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.store.ids import originals


def lists_name(digest: str) -> str:
    """Name the file beside a dataset that has the lists of a file of this digest."""
    return f"lists-{digest}.npy"


def take_lists(file: Path, digest: str, store: Store, dataset: Dataset) -> str:
    """Write the lists of a file beside the dataset, as its rows and columns.

    Returns:
        A line that says how much of the file the dataset knows.

    Raises:
        SearchError: The file is no table of lists, or of other listeners or tracks.
    """
    lists = _read(file)
    with queries.connect() as connection:
        connection.register("given", lists)
        for table, numbers in (("users", dataset.users), ("tracks", dataset.tracks)):
            ids = originals(store, "users" if table == "users" else "items", numbers)
            columns = {"id": ids.astype(np.str_), "position": np.arange(len(ids))}
            connection.register(f"known_{table}", pa.table(columns))
        listed = queries.fetch_table(connection, "validation/given_lists")
    if not listed.num_rows:
        raise SearchError(f"{file}: no row has a listener and a track of {store}")
    users, tracks, ranks = (column.to_numpy() for column in listed.columns)
    best = np.full((len(dataset.users), ranks.max() + 1), NO_TRACK, np.int32)
    best[users, ranks] = tracks
    with dataset.workspace.create(lists_name(digest)) as target:
        np.save(target, best)
    return (
        f"{file}: lists of {len(np.unique(users)):,} of {len(best):,} listeners; of "
        f"{lists.num_rows:,} rows {listed.num_rows:,} are a listener's and a track's of the store"
    )


def _read(file: Path) -> pa.Table:
    """Read user and item as text, and a place, the smallest the best."""
    try:
        columns = pq.read_schema(file).names
        by = "rank" if "rank" in columns else "score"
        if not {"user", "item", by} <= set(columns):
            raise SearchError(
                f"{file}: columns {', '.join(columns)[:200]} found; user, item, and rank or "
                "score are expected"
            )
        table = pq.read_table(file)
        places = table.column(by).cast(pa.float64()).to_numpy()
        return pa.table(
            {
                "user": table.column("user").cast(pa.string()),
                "item": table.column("item").cast(pa.string()),
                "place": -places if by == "score" else places,
            }
        )
    except (OSError, pa.ArrowException) as error:
        raise SearchError(f"{file}: cannot be read ({error})") from None
