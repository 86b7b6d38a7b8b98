"""Read what the session model learns from: how long recommended tracks were heard, and which track opened the session.

Read bucket by bucket from the session store into compact arrays: sixteen bytes a response.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis import queries
from analysis.store import number_of
from looplib.arrays import Float32Array, Int32Array, IntArray
from recsys.errors import ExportError
from recsys.store.ids import read_titles, stored_titles
from recsys.store.remote import Store

_NO_ARTISTS = pa.table(
    {"track": pa.array([], pa.int64()), "artist": pa.array([], pa.string())}
)


@dataclass(frozen=True)
class Responses:
    """Responses to recommended tracks, those of one opening side by side, session after session.

    An opening is a listener and an organic track: all sessions that this track opened for this
    listener. Openings of a listener are side by side, listeners in the order of the store's
    buckets.
    """

    users: IntArray  # ids of the listeners, shape (listeners,)
    tracks: IntArray  # ids of the tracks, ascending, shape (tracks,)
    # a number for each artist, of each track; one of its own where it is not known, shape (tracks,)
    artist: Int32Array
    listener: (
        Int32Array  # of each opening, ascending indices into `users`, shape (openings,)
    )
    organic: (
        Int32Array  # track of each opening, indices into `tracks`, shape (openings,)
    )
    opening: Int32Array  # of each response, ascending, shape (responses,)
    track: Int32Array  # the recommended one, indices into `tracks`, shape (responses,)
    time: Float32Array  # share heard of it, 0..1, shape (responses,)
    # tracks of its artist played before in the session, shape (responses,)
    earlier: npt.NDArray[np.int16]
    # recommended tracks played before in the session, shape (responses,)
    before: npt.NDArray[np.int16]

    def __len__(self) -> int:
        """Return the number of responses."""
        return len(self.track)


def load_responses(store: Store, catalogue: Path | None) -> Responses:
    """Read all responses of a store; the catalogue's tracks.json names the artists, or else the store, if it does.

    Raises:
        StoreError: The catalogue is not the store's, or cannot be read.
        ExportError: The store holds no recommended track.
    """
    buckets = [
        parts
        for bucket in range(store.manifest.buckets)
        if (parts := store.bucket_files(bucket))
    ]
    artists = _read_artists(store, catalogue)
    table = pa.concat_tables([_bucket_responses(parts, artists) for parts in buckets])
    if not len(table):
        raise ExportError(
            f"{store.workspace}: no recommended track was heard; a session model needs some"
        )
    return _join(table, store.catalogue_size, artists)


def _read_artists(store: Store, catalogue: Path | None) -> pa.Table:
    """Return tracks and their artists, from the catalogue or the store; without rows where neither names any."""
    if catalogue is None:
        titles = stored_titles(store)
        return _NO_ARTISTS if titles is None else titles.select(["track", "artist"])
    tracks = read_titles(catalogue, store).values()
    numbers = [
        number_of(track.track) if isinstance(track.track, str) else track.track
        for track in tracks
    ]
    columns = {"track": numbers, "artist": [track.artist or None for track in tracks]}
    return pa.table(columns, schema=_NO_ARTISTS.schema)


def _bucket_responses(parts: list[Path], artists: pa.Table) -> pa.Table:
    with queries.connect(threads=1) as connection:
        queries.attach_parquet(connection, "events", parts)
        queries.attach_arrow(connection, "artists", artists)
        queries.attach_query(connection, "named_events", "sessions/named_events")
        return queries.fetch_table(connection, "sessions/responses")


def _join(table: pa.Table, catalogue: int | None, artists: pa.Table) -> Responses:
    """Number listeners, tracks, artists and openings."""
    user, organics, heard = (
        table[name].to_numpy() for name in ("user", "organic", "track")
    )
    tracks = (
        np.arange(catalogue)
        if catalogue is not None
        else np.unique(np.concatenate([organics, heard]))
    )
    organic = np.searchsorted(tracks, organics)
    is_first = np.append(True, (user[1:] != user[:-1]) | (organic[1:] != organic[:-1]))
    owner = user[is_first]
    is_new = np.append(True, owner[1:] != owner[:-1])
    return Responses(
        users=owner[is_new],
        tracks=tracks,
        artist=_number_artists(tracks, artists),
        listener=np.cumsum(is_new, dtype=np.int32) - np.int32(1),
        organic=organic[is_first].astype(np.int32),
        opening=np.cumsum(is_first, dtype=np.int32) - np.int32(1),
        track=np.searchsorted(tracks, heard).astype(np.int32),
        time=table["time"].to_numpy(),
        earlier=table["earlier"].to_numpy(),
        before=table["before"].to_numpy(),
    )


def _number_artists(tracks: IntArray, artists: pa.Table) -> Int32Array:
    named = dict(
        zip(artists["track"].to_pylist(), artists["artist"].to_pylist(), strict=True)
    )
    numbers: dict[str | int, int] = {}
    for track in tracks.tolist():
        artist = named.get(track)
        named[track] = numbers.setdefault(
            track if artist is None else artist, len(numbers)
        )
    return np.array([named[track] for track in tracks.tolist()], dtype=np.int32)
