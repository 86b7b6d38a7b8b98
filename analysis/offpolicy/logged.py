"""The logged sessions that policies are valued on: who heard what, with which propensity.

They must be sessions that a policy was not learned from: a holdout rule picks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.sources import Sources
from analysis.errors import AnalysisError
from analysis.logs import reader as event_log
from looplib.arrays import BoolArray, FloatArray, IntArray

LoggingPolicy = Literal["logged", "uniform"]
HOLDOUTS = "all | since:MOMENT | manifest"


@dataclass(frozen=True)
class Holdout:
    """A rule that says which sessions count: parameters of `sessions/heldout_sessions.sql`."""

    text: str  # as on the command line
    kind: str
    seed: int = 0
    holdout: float = 0.0
    cutoff_ms: int = 0  # the epoch, so that a split by time holds all sessions out


def parse_holdout(text: str, manifest: Mapping[str, Any]) -> Holdout:
    """Return the rule that a text such as in `HOLDOUTS` stands for.

    "manifest" is that of the recommendations.

    Raises:
        AnalysisError: It stands for none.
    """
    if text == "all":
        return Holdout(text, "time")
    if text == "manifest":
        return _rule_in(manifest)
    kind, _, moment = text.partition(":")
    try:
        begin = datetime.fromisoformat(moment)
    except ValueError:
        kind = ""
    if kind != "since":
        raise AnalysisError(f"holdout {text}: allowed are {HOLDOUTS}")
    aware = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
    return Holdout(text, "time", cutoff_ms=round(aware.timestamp() * 1000))


def _rule_in(manifest: Mapping[str, Any]) -> Holdout:
    if not manifest:
        raise AnalysisError(
            "holdout manifest: no manifest.json beside the recommendations"
        )
    try:
        split, seed = manifest["split"], int(manifest["seed"])
        kind, share = str(split["kind"]), float(split.get("holdout", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(
            f"holdout manifest: no split and seed in manifest.json ({error!r})"
        ) from None
    if kind not in ("session_hash", "last_session"):
        raise AnalysisError(
            f"holdout manifest: a split by {kind}; name the moment it was cut at, since:MOMENT"
        )
    return Holdout(f"manifest: {kind}", kind, seed, share)


@dataclass(frozen=True)
class LoggedSessions:
    """Events of sessions, by listener, session and position.

    Arrays are of shape (events,) unless said otherwise.
    A session's first event is its organic track. Every later one is the outcome of a request: what
    was played in answer to it, and how long it was heard.
    """

    users: IntArray  # the listeners, ascending; shape (listeners,)
    listener: IntArray  # index of the event's listener in `users`
    first: IntArray  # index of the organic track of the event's session
    track: IntArray  # the track heard
    time: FloatArray  # listening time, share 0..1
    # Probability with which the track was drawn in answer to the request; NaN where it is not
    # known, the listener played another track, or the track is organic
    propensity: FloatArray
    unknown: int  # outcomes without a known propensity
    unfollowed: int  # outcomes that are not the track that had been recommended

    @cached_property
    def counted(self) -> BoolArray:
        """Whether an event is the outcome of a request with a known propensity."""
        return ~np.isnan(self.propensity)

    @cached_property
    def is_outcome(self) -> BoolArray:
        """Whether an event is the outcome of a request, not a session's organic track."""
        return np.asarray(self.first != np.arange(len(self.first)))

    @cached_property
    def is_fresh(self) -> BoolArray:
        """Whether the track was not heard earlier in its session."""
        tracks, number = np.unique(self.track, return_inverse=True)
        _, index = np.unique(self.first * len(tracks) + number, return_index=True)
        is_first = np.zeros(len(number), dtype=np.bool_)
        is_first[index] = True
        return is_first

    @property
    def sessions(self) -> int:
        """The number of sessions."""
        return int(np.count_nonzero(~self.is_outcome))

    def before(self, values: FloatArray) -> FloatArray:
        """Return the sum of values over the events before each one in its session."""
        sums = np.cumsum(values) - values
        return sums - sums[self.first]


def attach_events(
    connection: queries.Connection, sources: Sources, scratch: Path
) -> None:
    """Make the events of logs or stores readable as the table `events`.

    The folder `scratch` must live as long as the table.

    Raises:
        EventLogError: A log cannot be read.
        AnalysisError: Both logs and stores are given, or a store is empty.
    """
    if sources.logs and sources.stores:
        raise AnalysisError(
            "event logs and session stores together; "
            "ingest the logs into the store, or name one kind"
        )
    if sources.logs:
        event_log.write_events(sources.logs, scratch)
        pattern = str(scratch / "events-*.parquet")
        queries.attach_query(
            connection, "events", "events/counted_once", events_file=pattern
        )
        return
    files = [
        file for store in sources.stores for file in store.files(store.manifest.parts)
    ]
    if not files:
        raise AnalysisError("an empty session store")
    queries.attach_parquet(connection, "events", files)


def read_sessions(
    connection: queries.Connection,
    holdout: Holdout,
    *,
    logging_policy: LoggingPolicy = "logged",
    catalogue_size: int | None = None,
) -> LoggedSessions:
    """Read the held-out sessions of the table `events`.

    Raises:
        AnalysisError: No session is held out, or `logged_sessions` refuses them.
    """
    queries.attach_query(connection, "named_events", "sessions/named_events")
    queries.materialize(connection, "sessions", "sessions/sessions")
    queries.materialize(
        connection,
        "heldout_sessions",
        "sessions/heldout_sessions",
        kind=holdout.kind,
        seed=holdout.seed,
        holdout=holdout.holdout,
        cutoff_ms=holdout.cutoff_ms,
    )
    queries.attach_query(connection, "split_events", "sessions/split_events")
    events = queries.fetch_table(connection, "offpolicy/session_events")
    if not events.num_rows:
        raise AnalysisError(
            f"the holdout {holdout.text} has no session; at least one is needed"
        )
    return logged_sessions(
        events, logging_policy=logging_policy, catalogue_size=catalogue_size
    )


def logged_sessions(
    events: pa.Table,
    *,
    logging_policy: LoggingPolicy = "logged",
    catalogue_size: int | None = None,
) -> LoggedSessions:
    """Return the sessions of a table that is as `offpolicy/session_events.sql` has it.

    Args:
        events: The table.
        logging_policy: Where the propensity of an event without one comes from. "logged": nowhere,
            and it does not count. "uniform": every track of the catalogue was equally likely,
            repeats included, as in the simulator's random collection.
        catalogue_size: Tracks of the catalogue; needed for "uniform".

    Raises:
        AnalysisError: The catalogue's size is missing or too small.
    """
    users, listener = np.unique(events["user"].to_numpy(), return_inverse=True)
    position = events["position"].to_numpy()
    is_outcome, followed = position > 1, events["followed"].to_numpy()
    propensity = events["propensity"].cast(pa.float64()).to_numpy()
    sessions = LoggedSessions(
        users=users,
        listener=listener,
        first=np.arange(len(position)) - position + 1,
        track=events["track"].to_numpy(),
        time=events["time"].to_numpy(),
        propensity=propensity,
        unknown=0,
        unfollowed=int(np.count_nonzero(is_outcome & ~followed)),
    )
    if logging_policy == "uniform":
        uniform = _uniform_propensity(sessions, catalogue_size)
        propensity = np.where(np.isnan(propensity), uniform, propensity)
    is_answer = is_outcome & followed
    return replace(
        sessions,
        propensity=np.where(is_answer, propensity, np.nan),
        unknown=int(np.count_nonzero(is_answer & np.isnan(propensity))),
    )


def _uniform_propensity(sessions: LoggedSessions, catalogue_size: int | None) -> float:
    """Return the probability of a track where every one was equally likely."""
    if catalogue_size is None:
        raise AnalysisError(
            "the logging policy uniform needs the number of tracks of the catalogue"
        )
    largest = sessions.track.max()
    if largest >= catalogue_size:
        raise AnalysisError(
            f"track {largest} was heard; "
            f"a catalogue of {catalogue_size} has 0 … {catalogue_size - 1}"
        )
    return 1.0 / catalogue_size
