"""Read the sessions of a store: the tracks of each, in order."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.store import Store
from looplib.arrays import BoolArray, Int32Array, IntArray, column_values, offsets
from looplib.memory import MOST_PLAYS
from recsys.config import SearchConfig, Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Plays, read_artists
from recsys.dataset.layout import SplitName
from recsys.dataset.matrices import track_columns
from recsys.dataset.partitions import attach_plays
from recsys.dataset.split import split_rule
from recsys.store.reader import partition_files


@dataclass(frozen=True)
class Sessions:
    """Sessions by the row of their listener, then the oldest first.

    The tracks of session s are `tracks[indptr[s] : indptr[s + 1]]`.
    """

    indptr: IntArray  # shape (sessions + 1,)
    tracks: Int32Array  # columns of the dataset, shape (plays,)
    listeners: IntArray  # row of each session's listener, ascending, shape (sessions,)
    start_ms: IntArray  # shape (sessions,)
    artists: Int32Array  # artist of each track, shape (tracks,)
    listener_count: int  # listeners of the dataset
    has_times: bool = True  # else all plays of a listener are a single session

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self.listeners)

    @property
    def counts(self) -> IntArray:
        """The number of plays of each session, shape (sessions,)."""
        return np.diff(self.indptr)

    def select(self, is_kept: BoolArray) -> "Sessions":
        """Keep some of the plays; a flag for each, shape (plays,)."""
        counts = np.diff(offsets(is_kept)[self.indptr])
        is_left = counts > 0
        return replace(
            self,
            indptr=offsets(counts[is_left]),
            tracks=self.tracks[is_kept],
            listeners=self.listeners[is_left],
            start_ms=self.start_ms[is_left],
        )

    def mark_newest(self, share: float) -> BoolArray:
        """Mark the plays of a share of the sessions, the newest; shape (plays,).

        If no times are known, mark that share of each listener's plays.
        """
        if not self.has_times:
            ages, counts = self.plays.age, self.plays.counts
            return ages <= np.repeat(share * counts, counts)
        oldest_first = np.argsort(self.start_ms, kind="stable")
        is_newest = np.zeros(len(self), np.bool_)
        is_newest[oldest_first[len(self) - int(share * len(self)) :]] = True
        return np.repeat(is_newest, self.counts)

    def split(self, share: float) -> tuple["Sessions", "Sessions"]:
        """Split into older plays and the plays that `mark_newest` marks."""
        is_newest = self.mark_newest(share)
        return self.select(~is_newest), self.select(is_newest)

    @property
    def plays(self) -> Plays:
        """The plays of each listener in all sessions."""
        counts = np.bincount(self.listeners, self.counts, minlength=self.listener_count)
        return Plays(offsets(counts.astype(np.int64)), self.tracks)

    def histories(self, plays: IntArray) -> Iterator[Int32Array]:
        """Yield the listener's latest tracks before each of some plays, the newest last."""
        listeners = self.plays
        starts = listeners.indptr[listeners.listeners[plays]]
        for start, play in zip(starts.tolist(), plays.tolist(), strict=True):
            yield self.tracks[max(start, play - MOST_PLAYS) : play]


def load_sessions(
    store: Store, config: SearchConfig, dataset: Dataset, split: SplitName = "all"
) -> Sessions:
    """Read the sessions of a store up to each listener's latest play of a split.

    Plays that weigh less than `feedback.min_time` are left out.
    """
    rule = split_rule(store, config.split, config.seed)
    # All sessions, whatever the split is; plays without times are a single session a listener.
    both = (*rule.train, *rule.test)
    whole = replace(
        rule,
        split=Split(until=rule.split.until),
        has_moments=rule.is_ordered,
        train=both,
        test=(),
    )
    tables = []
    for files in partition_files(store):
        with queries.connect(threads=1) as connection:
            attach_plays(connection, files, whole)
            table = queries.fetch_table(
                connection,
                "sessions/session_plays",
                min_time=config.feedback.min_time,
            )
        tables.append(table)
    # number listeners and tracks as the dataset does, and put sessions in their order
    table = pa.concat_tables(tables)
    listener = np.searchsorted(dataset.users, column_values(table["user"]))
    latest = dataset.latest(split)[listener]
    track = track_columns(column_values(table["track"]), dataset.tracks)
    is_learned = column_values(table["timestamp"]) <= latest
    is_learned &= track < len(dataset.tracks_of(split))
    table, listener = table.filter(pa.array(is_learned)), listener[is_learned]
    order = np.argsort(listener, kind="stable")
    opens = column_values(table["opens"])[order] > 0
    starts = np.flatnonzero(opens)
    return Sessions(
        np.append(starts, len(opens)),
        track[is_learned][order].astype(np.int32),
        listener[order][starts],
        column_values(table["start_ms"])[order][starts],
        read_artists(dataset, split),
        len(dataset.users),
        rule.has_moments,
    )
