"""Read how long recommended tracks were heard, and after which: the session model's data.

They are read bucket by bucket from the session store into compact arrays: sixteen bytes a response.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis import queries
from analysis.store import number_of
from looplib.arrays import BoolArray, Float32Array, Int32Array, IntArray
from recsys.dataset.split import SplitRule
from recsys.errors import ExportError
from recsys.store.ids import read_titles
from recsys.store.remote import Store


@dataclass(frozen=True)
class Responses:
    """Responses to recommended tracks, those of one opening side by side, session after session.

    An opening is a listener and an organic track: all sessions that this track opened for this
    listener. Openings of a listener are side by side, listeners in the order of the store's
    buckets.
    """

    users: IntArray  # ids of the listeners, shape (listeners,)
    tracks: IntArray  # ids of the tracks, ascending, shape (tracks,)
    artist: Int32Array  # of each track, a number; its own where it is not known
    listener: Int32Array  # of each opening, ascending, indices into `users`
    organic: Int32Array  # track of each opening, indices into `tracks`
    opening: Int32Array  # of each response, ascending, shape (responses,)
    track: Int32Array  # the recommended one, indices into `tracks`, shape (responses,)
    time: Float32Array  # share heard of it, 0..1, shape (responses,)
    # tracks of its artist played before in the session, shape (responses,)
    earlier: npt.NDArray[np.int16]
    # recommended tracks played before in the session, shape (responses,)
    before: npt.NDArray[np.int16]
    is_held_out: BoolArray  # its session is held out of training, shape (responses,)

    def __len__(self) -> int:
        """Return the number of responses."""
        return len(self.track)

    def training(self) -> "Responses":
        """Return those whose sessions are not held out, with the openings of these alone."""
        rows = np.flatnonzero(~self.is_held_out)
        kept, opening = np.unique(self.opening[rows], return_inverse=True)
        return replace(
            self,
            listener=self.listener[kept],
            organic=self.organic[kept],
            opening=opening.astype(np.int32),
            track=self.track[rows],
            time=self.time[rows],
            earlier=self.earlier[rows],
            before=self.before[rows],
            is_held_out=self.is_held_out[rows],
        )


def load_responses(store: Store, catalogue: Path | None, rule: SplitRule) -> Responses:
    """Read all responses of a store, with the side of the split that each is on.

    The artists are those of the catalogue's tracks.json, or else of the store, if it has any.

    Raises:
        StoreError: The catalogue is not the store's, or cannot be read.
        ExportError: The store holds no recommended track.
    """
    artists = _read_artists(store, catalogue)
    buckets = map(store.bucket_files, range(store.manifest.buckets))
    tables = [_bucket_responses(parts, artists, rule) for parts in buckets if parts]
    table = pa.concat_tables(tables)
    if not len(table):
        raise ExportError(
            f"{store.workspace}: no recommended track was heard; a session model needs some"
        )
    return _number(table, store.catalogue_size, artists)


def _read_artists(store: Store, catalogue: Path | None) -> dict[int, str]:
    """Return the known artists of tracks, by the store's number."""
    artists = {}
    for title in read_titles(catalogue, store).values():
        track = title.track
        number = number_of(track) if isinstance(track, str) else track
        if title.artist:
            artists[number] = title.artist
    return artists


def _bucket_responses(
    parts: list[Path], artists: Mapping[int, str], rule: SplitRule
) -> pa.Table:
    columns = {
        "track": pa.array(list(artists), pa.int64()),
        "artist": pa.array(list(artists.values()), pa.string()),
    }
    with queries.connect(threads=1) as connection:
        queries.attach_parquet(connection, "events", parts)
        queries.attach_arrow(connection, "artists", pa.table(columns))
        queries.attach_query(connection, "named_events", "sessions/named_events")
        queries.materialize(connection, "sessions", "sessions/sessions")
        queries.materialize(
            connection,
            "heldout_sessions",
            "sessions/heldout_sessions",
            **rule.parameters,
        )
        queries.attach_query(connection, "split_events", "sessions/split_events")
        return queries.fetch_table(connection, "sessions/responses")


def _number(
    table: pa.Table, catalogue: int | None, artists: Mapping[int, str]
) -> Responses:
    """Number listeners, tracks, artists and openings."""
    user = table["user"].to_numpy()
    organics = table["organic"].to_numpy()
    heard = table["track"].to_numpy()
    if catalogue is None:
        tracks = np.unique(np.concatenate([organics, heard]))
    else:
        tracks = np.arange(catalogue)
    organic = np.searchsorted(tracks, organics)
    has_new_user = np.diff(user) != 0
    has_new_organic = np.diff(organics) != 0
    is_first = np.append(True, has_new_user | has_new_organic)
    owner = user[is_first]
    is_new = np.append(True, np.diff(owner) != 0)
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
        is_held_out=table["heldout"].to_numpy(),
    )


def _number_artists(tracks: IntArray, artists: Mapping[int, str]) -> Int32Array:
    numbers: dict[str | int, int] = {}
    artist = []
    for track in tracks.tolist():
        name = artists.get(track, track)
        artist.append(numbers.setdefault(name, len(numbers)))
    return np.array(artist, dtype=np.int32)
