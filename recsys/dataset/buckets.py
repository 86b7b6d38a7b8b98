"""From a bucket of the session store to interactions and held-out listening: what runs on a worker for each bucket.

Plain functions, paths in and a small result out. Every event of a listener is in one bucket, so a bucket is split,
checked and summed without looking at any other.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from analysis import queries
from analysis.store import Part
from looplib.arrays import IntArray
from recsys.config import Feedback
from recsys.dataset.split import SplitRule, Weights
from recsys.errors import SplitError
from recsys.store.remote import download_stored
from recsys.workspace import open_workspace

SESSION_GAP_MS = 30 * 60 * 1000


@dataclass(frozen=True)
class BucketSummary:
    """What one bucket holds on both sides of the split."""

    events: int
    heldout_events: int
    sessions: int
    heldout_sessions: int


def interactions_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves a bucket's interactions (user, track, train, total, train_skips, total_skips)."""
    return folder / f"interactions-{bucket:03d}.parquet"


def heldout_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves the held-out listening of a bucket (user, track, time)."""
    return folder / f"heldout-{bucket:03d}.parquet"


def listeners_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves the listeners of a bucket (user, heldout)."""
    return folder / f"listeners-{bucket:03d}.parquet"


def tracks_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves the tracks heard in a bucket (track)."""
    return folder / f"tracks-{bucket:03d}.parquet"


def logged_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves a bucket's held-out sessions, in the columns of `offpolicy/heldout_events`."""
    return folder / f"logged-{bucket:03d}.parquet"


def lengths_file(folder: Path, bucket: int) -> Path:
    """Where `prepare_bucket` leaves how long a bucket's sessions are (length, sessions)."""
    return folder / f"lengths-{bucket:03d}.parquet"


@dataclass(frozen=True)
class StoredBucket:
    """A bucket of a store: the store's address, and the bucket's number and parts."""

    store: str
    number: int
    parts: tuple[Part, ...]

    def download(self) -> list[Path]:
        """Return the parts on this machine."""
        return download_stored(open_workspace(self.store), self.parts)


def prepare_bucket(
    bucket: StoredBucket, pieces: str, rule: SplitRule, feedback: Feedback, heldout_organic: bool
) -> BucketSummary:
    """Splits a bucket's sessions and writes its interactions, held-out listening, listeners, tracks and lengths.

    Args:
        bucket: The bucket, whose number names the files.
        pieces: Address of the folder where the files go.
        rule: Which sessions are held out.
        feedback: Which events count as interactions.
        heldout_organic: Whether organic tracks count among the held-out ones.

    Raises:
        SplitError: A session came out on both sides, or an event was lost: nothing learned from it could be trusted.
    """
    workspace = open_workspace(pieces)
    folder, number = workspace.folder, bucket.number
    folder.mkdir(parents=True, exist_ok=True)
    with queries.connect(threads=1) as connection:
        _attach_sessions(connection, bucket.download(), rule)
        _keep_heldout_sessions(connection, rule)
        queries.materialize(connection, "split_events", "sessions/split_events")
        summary = _checked_summary(connection, number)
        for file, name, values in (
            (interactions_file(folder, number), *_interactions_query(rule, feedback)),
            (heldout_file(folder, number), *_heldout_query(rule, heldout_organic)),
            (listeners_file(folder, number), "sessions/listeners", {}),
            (tracks_file(folder, number), "sessions/tracks", {}),
            (lengths_file(folder, number), "sessions/session_lengths", {}),
            *_logged_queries(connection, folder, number, rule),
        ):
            pq.write_table(queries.fetch_table(connection, name, **values), file)
            workspace.upload(file.name)
            workspace.evict(file.name)
    return summary


def count_starts(bucket: StoredBucket, rule: SplitRule) -> tuple[IntArray, IntArray]:
    """In which minutes since the epoch a bucket's sessions begin, oldest first, and how many in each."""
    with queries.connect(threads=1) as connection:
        _attach_sessions(connection, bucket.download(), rule)
        starts = queries.fetch_table(connection, "sessions/starts_by_minute")
    return starts["minute"].to_numpy(), starts["sessions"].to_numpy()


def _attach_sessions(connection: queries.Connection, parts: Sequence[Path], rule: SplitRule) -> None:
    """Makes the tables events, session_events and sessions of a bucket's files."""
    if rule.is_weighted:
        queries.attach_parquet(connection, "stored", parts)
        queries.materialize(connection, "events", "interactions/events", train=list(rule.train), test=list(rule.test))
    else:
        queries.attach_parquet(connection, "events", parts)
    materialize_sessions(connection, rule.weights)
    queries.materialize(connection, "sessions", "sessions/sessions")


def materialize_sessions(connection: queries.Connection, weights: Weights) -> None:
    """Makes the table `session_events` of the table `events`."""
    queries.materialize(
        connection, "session_events", "sessions/session_events", gap_ms=SESSION_GAP_MS, **asdict(weights)
    )


def _interactions_query(rule: SplitRule, feedback: Feedback) -> tuple[str, dict[str, object]]:
    if rule.is_weighted:
        return "interactions/weights", {"min_time": feedback.min_time}
    return "sessions/interactions", feedback.model_dump(include={"organic", "min_time", "skip_time"})


def _heldout_query(rule: SplitRule, organic: bool) -> tuple[str, dict[str, object]]:
    return ("interactions/heldout_weights", {}) if rule.is_weighted else ("sessions/heldout", {"organic": organic})


def _logged_queries(
    connection: queries.Connection, folder: Path, bucket: int, rule: SplitRule
) -> list[tuple[Path, str, dict[str, object]]]:
    """What the off-policy scorer needs; interactions are no answers to recommendations."""
    if rule.is_weighted:
        return []
    queries.attach_query(connection, "named_events", "offpolicy/named_events")
    return [(logged_file(folder, bucket), "offpolicy/heldout_events", {})]


def _keep_heldout_sessions(connection: queries.Connection, rule: SplitRule) -> None:
    table = "heldout_sessions"
    if rule.split.kind == "session_hash":
        queries.materialize(connection, table, "sessions/heldout_by_hash", seed=rule.seed, holdout=rule.split.holdout)
    elif rule.split.kind == "last_session":
        queries.materialize(connection, table, "sessions/heldout_last")
    elif rule.split.kind == "files":
        queries.materialize(connection, table, "interactions/heldout_by_file")
    else:
        queries.materialize(connection, table, "sessions/heldout_by_time", cutoff_ms=rule.cutoff_ms)


def _checked_summary(connection: queries.Connection, bucket: int) -> BucketSummary:
    row = queries.fetch_row(connection, "sessions/split_summary")
    if row["sessions_on_both"] or row["split_events"] != row["events"]:
        raise SplitError(
            f"bucket {bucket}: {row['sessions_on_both']} sessions are on both sides of the split and "
            f"{row['split_events']} of {row['events']} events on either; allowed are 0, and all"
        )
    return BucketSummary(row["events"], row["heldout_events"], row["sessions"], row["heldout_sessions"])
