"""Read the sessions of a store: the tracks of each, in order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.store import Store
from looplib.arrays import BoolArray, Int32Array, IntArray, column_values, offsets
from looplib.memory import MOST_PLAYS, turn
from recsys.config import SearchConfig, Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.features import Features
from recsys.dataset.interactions import Plays, read_features
from recsys.dataset.layout import SplitName
from recsys.dataset.matrices import track_columns
from recsys.dataset.partitions import attach_plays
from recsys.dataset.split import split_rule
from recsys.store.reader import partition_files


@dataclass(frozen=True)
class Sessions:
    """Sessions by the row of their listener, then the oldest first.

    The tracks of session s are `tracks[indptr[s] : indptr[s + 1]]`, skips among them as
    `looplib.memory.turn` makes them.
    """

    indptr: IntArray  # shape (sessions + 1,)
    tracks: Int32Array  # columns of the dataset, shape (plays,)
    listeners: IntArray  # row of each session's listener, ascending, shape (sessions,)
    start_ms: IntArray  # shape (sessions,)
    features: Features  # artists and other features of the tracks
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
        # a session has a play
        counts = np.add.reduceat(is_kept, self.indptr[:-1], dtype=np.int64)
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
            counts = self.plays.counts
            newest = np.floor(share * counts).astype(np.int64)
            both = np.stack([counts - newest, newest], axis=1).ravel()
            return np.repeat(np.tile([False, True], len(counts)), both)
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
        row = np.searchsorted(listeners.indptr, plays, side="right") - 1
        starts = listeners.indptr[row]
        for start, play in zip(starts.tolist(), plays.tolist(), strict=True):
            yield self.tracks[max(start, play - MOST_PLAYS) : play]


class SessionTable(NamedTuple):
    """Sessions of some listeners; see `Sessions`."""

    counts: IntArray  # plays of each
    tracks: Int32Array
    listeners: IntArray
    start_ms: IntArray


def load_sessions(
    store: Store, config: SearchConfig, dataset: Dataset, split: SplitName = "all"
) -> Sessions:
    """Read the sessions of a store up to each listener's latest play of a split."""
    tables = [
        read_sessions(files, store, config, dataset, split)
        for files in partition_files(store)
    ]
    return as_sessions(join_sessions(tables), store, dataset, split)


def read_sessions(
    files: Sequence[Path],
    store: Store,
    config: SearchConfig,
    dataset: Dataset,
    split: SplitName,
) -> SessionTable:
    """Read the sessions of a partition up to each listener's latest play of a split.

    Plays that weigh less than `feedback.min_time` are left out, but for skips.
    """
    rule = split_rule(store, config.split, config.seed, config.feedback.skip)
    # All sessions, whatever the split is; plays without times are a single session a listener.
    both = (*rule.train, *rule.test)
    whole = replace(
        rule,
        split=Split(until=rule.split.until),
        has_moments=rule.is_ordered,
        train=both,
        test=(),
    )
    with queries.connect(threads=1) as connection:
        attach_plays(connection, files, whole)
        table = queries.fetch_table(
            connection, "sessions/session_plays", min_time=config.feedback.min_time
        )
    # number listeners and tracks as the dataset does
    listener = np.searchsorted(dataset.users, column_values(table["user"]))
    latest = dataset.latest(split)[listener]
    track = track_columns(column_values(table["track"]), dataset.tracks)
    is_learned = column_values(table["timestamp"]) <= latest
    is_learned &= track < len(dataset.tracks_of(split))
    track = np.where(column_values(table["skipped"]) > 0, turn(track), track)
    table, listener = table.filter(pa.array(is_learned)), listener[is_learned]
    starts = np.flatnonzero(column_values(table["opens"]) > 0)
    return SessionTable(
        np.diff(starts, append=len(listener)),
        track[is_learned].astype(np.int32),
        listener[starts],
        column_values(table["start_ms"])[starts],
    )


def join_sessions(tables: Iterable[SessionTable]) -> SessionTable:
    """Join the sessions of all partitions by the row of their listener."""
    counts, tracks, listeners, start_ms = map(np.concatenate, zip(*tables, strict=True))
    order = np.argsort(listeners, kind="stable")
    sessions = Plays(offsets(counts), tracks)
    tracks = sessions.cut(np.zeros_like(counts), listeners=order).tracks
    return SessionTable(counts[order], tracks, listeners[order], start_ms[order])


def as_sessions(
    table: SessionTable, store: Store, dataset: Dataset, split: SplitName
) -> Sessions:
    """Make the sessions of a dataset of the joined table."""
    return Sessions(
        offsets(table.counts),
        table.tracks,
        table.listeners,
        table.start_ms,
        read_features(dataset, split),
        len(dataset.users),
        "timestamp" in store.manifest.columns,
    )
