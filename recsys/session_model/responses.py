"""What the context model learns from: how long each recommended track was heard, and which track opened the session.

Read bucket by bucket from the session store into compact arrays: fifteen bytes a response.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis import queries
from looplib.arrays import Float32Array, Int32Array, IntArray
from looplib.files import sha256_file
from recsys.dataset.buckets import materialize_sessions
from recsys.dataset.split import UNWEIGHTED, Weights
from recsys.errors import ExportError
from recsys.store.remote import Store

_CATALOGUE_COLUMNS = {"track": "BIGINT", "artist": "VARCHAR"}
_NO_ARTISTS = pa.table({"track": pa.array([], pa.int64()), "artist": pa.array([], pa.string())})


@dataclass(frozen=True)
class Responses:
    """Responses to recommended tracks, those of one opening side by side.

    An opening is a listener and an organic track: all sessions that this track opened for this listener. Openings of
    a listener stand side by side, listeners in the order of the store's buckets.

    Attributes:
        users: IntArray of the listeners, shape (listeners,).
        tracks: IntArray of the tracks, ascending, shape (tracks,).
        listener: Listener of each opening, ascending indices into `users`, shape (openings,).
        organic: Organic track of each opening, indices into `tracks`, shape (openings,).
        starts: The responses of opening i are starts[i]:starts[i + 1], shape (openings + 1,).
        track: The recommended track, indices into `tracks`, shape (responses,).
        time: Share heard of it, 0..1, shape (responses,).
        earlier: Tracks of its artist that were played before in the session, shape (responses,).
        weight: How much it counts, shape (responses,); 1 for the answer to a random recommendation.
    """

    users: IntArray
    tracks: IntArray
    listener: Int32Array
    organic: Int32Array
    starts: IntArray
    track: Int32Array
    time: Float32Array
    earlier: npt.NDArray[np.int16]
    weight: Float32Array

    def __len__(self) -> int:
        """How many responses there are."""
        return len(self.track)

    @property
    def opening(self) -> Int32Array:
        """The opening of each response."""
        return np.repeat(np.arange(len(self.organic), dtype=np.int32), np.diff(self.starts))


def load_responses(store: Store, catalogue: Path | None, weights: Weights = UNWEIGHTED) -> Responses:
    """Reads all responses of a store.

    Args:
        store: The session store.
        catalogue: The catalogue's file, which says whose track it is; without it no artist is known.
        weights: How much each response counts.

    Raises:
        ExportError: The catalogue is not the store's, or the store holds no recommended track.
    """
    if catalogue is not None:
        _check_catalogue(store, catalogue)
    buckets = [parts for bucket in range(store.buckets) if (parts := store.bucket_files(bucket))]
    tables = [_bucket_responses(parts, catalogue, weights) for parts in buckets]
    if not sum(map(len, tables)):
        raise ExportError(f"{store.workspace}: no recommended track was heard; a context model needs some")
    return _join(tables, store.catalogue.tracks if store.catalogue else None)


def _check_catalogue(store: Store, file: Path) -> None:
    try:
        found = sha256_file(file)
    except OSError as error:
        raise ExportError(f"{file}: cannot be read ({error.strerror})") from None
    if store.catalogue and found != store.catalogue.sha256:
        raise ExportError(f"{file}: sha256 {found[:12]} found, but {store.workspace} was logged on {store.catalogue}")


def _bucket_responses(parts: list[Path], catalogue: Path | None, weights: Weights) -> pa.Table:
    with queries.connect(threads=1) as connection:
        queries.attach_parquet(connection, "events", parts)
        if catalogue is None:
            queries.attach_arrow(connection, "artists", _NO_ARTISTS)
        else:
            queries.attach_json_lines(connection, "artists", [catalogue], _CATALOGUE_COLUMNS, gzipped=False)
        materialize_sessions(connection, weights)
        return queries.fetch_table(connection, "sessions/responses")


def _join(tables: list[pa.Table], catalogue: int | None) -> Responses:
    """Numbers listeners and tracks, and finds where each opening begins."""
    users, organics, heard = (
        [table[name].to_numpy() for table in tables if len(table)] for name in ("user", "organic", "track")
    )
    tracks = np.arange(catalogue) if catalogue is not None else np.unique(np.concatenate([*organics, *heard]))
    user, organic = np.concatenate(users), np.searchsorted(tracks, np.concatenate(organics))
    is_first = np.ones(len(user), dtype=np.bool_)
    is_first[1:] = (user[1:] != user[:-1]) | (organic[1:] != organic[:-1])
    starts = np.append(np.flatnonzero(is_first), len(user))
    owner = user[starts[:-1]]
    is_new = np.append(True, owner[1:] != owner[:-1])
    return Responses(
        users=owner[is_new],
        tracks=tracks,
        listener=np.cumsum(is_new, dtype=np.int32) - np.int32(1),
        organic=organic[starts[:-1]].astype(np.int32),
        starts=starts,
        track=np.searchsorted(tracks, np.concatenate(heard)).astype(np.int32),
        time=np.concatenate([table["time"].to_numpy() for table in tables if len(table)]),
        earlier=np.concatenate([table["earlier"].to_numpy() for table in tables if len(table)]),
        weight=np.concatenate([table["weight"].to_numpy() for table in tables if len(table)]),
    )
