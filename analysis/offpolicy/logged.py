"""The logged sessions that policies are valued on: who heard what, with which propensity.

They must be sessions that a policy was not learned from: a holdout rule picks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.errors import AnalysisError
from looplib.arrays import BoolArray, FloatArray, IntArray

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
        split = manifest["split"]
        seed = int(manifest["seed"])
        kind = str(split["kind"])
        share = float(split.get("holdout", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(
            f"holdout manifest: no split and seed in manifest.json ({error!r})"
        ) from None
    if kind not in ("session_hash", "newest", "last_session"):
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

    def before(self, flags: BoolArray) -> IntArray:
        """Count the flagged events before each one in its session."""
        counts: IntArray = np.cumsum(flags) - flags
        return counts - counts[self.first]


def read_sessions(
    connection: queries.Connection,
    holdout: Holdout,
    uniform: int | None = None,
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
    return logged_sessions(events, uniform)


def logged_sessions(events: pa.Table, uniform: int | None = None) -> LoggedSessions:
    """Return the sessions of a table that is as `offpolicy/session_events.sql` has it.

    Args:
        events: The table.
        uniform: Tracks of the catalogue, where of an event without propensity every one was equally
            likely, repeats included, as in the simulator's random collection. Without, such an
            event does not count.

    Raises:
        AnalysisError: The catalogue is too small.
    """
    users, listener = np.unique(events["user"].to_numpy(), return_inverse=True)
    position = events["position"].to_numpy()
    track = events["track"].to_numpy()
    propensity = events["propensity"].cast(pa.float64()).to_numpy()
    if uniform is not None:
        if (largest := track.max()) >= uniform:
            raise AnalysisError(
                f"track {largest} was heard; a catalogue of {uniform} has 0 … {uniform - 1}"
            )
        propensity = np.where(np.isnan(propensity), 1 / uniform, propensity)
    is_outcome = position > 1
    followed = events["followed"].to_numpy()
    is_answer = is_outcome & followed
    return LoggedSessions(
        users=users,
        listener=listener,
        first=np.arange(len(position)) - position + 1,
        track=track,
        time=events["time"].to_numpy(),
        propensity=np.where(is_answer, propensity, np.nan),
        unknown=int(np.count_nonzero(is_answer & np.isnan(propensity))),
        unfollowed=int(np.count_nonzero(is_outcome & ~followed)),
    )
