"""Read how long recommended tracks were heard, and after which: the session model's data.

They are read partition by partition from the session store into compact arrays, 16 bytes a response.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis import queries
from looplib.arrays import BoolArray, Float32Array, Int32Array, IntArray
from recsys.dataset.dataset import Dataset
from recsys.dataset.plays import UNKNOWN_ARTIST, read_artists
from recsys.dataset.split import SplitRule
from recsys.errors import ExportError
from recsys.store.remote import Store


@dataclass(frozen=True)
class Responses:
    """Responses to recommended tracks, those of one opening side by side, session after session.

    An opening is a listener and an organic track: all sessions that this track opened for this
    listener. Openings of a listener are side by side. Listeners and tracks are rows and columns of
    the dataset.
    """

    artist: Int32Array  # of each track, a number; its own where it is not known
    listener: Int32Array  # of each opening
    organic: Int32Array  # track of each opening
    opening: Int32Array  # of each response, ascending, shape (responses,)
    track: Int32Array  # the recommended one, shape (responses,)
    time: Float32Array  # share heard of it, 0..1, shape (responses,)
    # tracks of its artist played before in the session, shape (responses,)
    earlier: npt.NDArray[np.int16]
    place: npt.NDArray[np.int16]  # responses of its session before it, (responses,)
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
            place=self.place[rows],
            is_held_out=self.is_held_out[rows],
        )


def load_responses(store: Store, dataset: Dataset, rule: SplitRule) -> Responses:
    """Read all responses of a store, with the side of the split that each is on.

    Raises:
        ExportError: The store holds no recommended track.
    """
    artist = read_artists(dataset)
    known = artist != UNKNOWN_ARTIST
    artists = pa.table({"track": dataset.tracks[known], "artist": artist[known]})
    partitions = map(store.partition_files, range(store.manifest.partitions))
    tables = [
        _partition_responses(parts, artists, rule) for parts in partitions if parts
    ]
    table = pa.concat_tables(tables)
    if not len(table):
        raise ExportError(
            f"{store.workspace}: no recommended track was heard, and session_model learns from "
            "these; leave it out: --set session_model=null"
        )
    user, organic = (table[name].to_numpy() for name in ("user", "organic"))
    differs = (np.diff(user) != 0) | (np.diff(organic) != 0)
    is_first = np.append(True, differs)
    its_own = artist.max() + 1 + np.arange(len(artist))
    artist = np.where(known, artist, its_own)

    def number(ids: IntArray, wanted: npt.NDArray[Any]) -> Int32Array:
        return np.searchsorted(ids, wanted).astype(np.int32)

    return Responses(
        artist=artist.astype(np.int32),
        listener=number(dataset.users, user[is_first]),
        organic=number(dataset.tracks, organic[is_first]),
        opening=np.cumsum(is_first, dtype=np.int32) - np.int32(1),
        track=number(dataset.tracks, table["track"].to_numpy()),
        time=table["time"].to_numpy(),
        earlier=table["earlier"].to_numpy(),
        place=table["place"].to_numpy(),
        is_held_out=table["heldout"].to_numpy(),
    )


def _partition_responses(
    parts: list[Path], artists: pa.Table, rule: SplitRule
) -> pa.Table:
    with queries.connect(threads=1) as connection:
        queries.attach_parquet(connection, "events", parts)
        connection.register("artists", artists)
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
