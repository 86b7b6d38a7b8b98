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


def parse_holdout(text: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a rule such as in `HOLDOUTS` that says which sessions count.

    Args:
        text: The rule.
        manifest: That of the recommendations, which "manifest" means.

    Returns:
        The parameters of `sessions/splits.sql`.

    Raises:
        AnalysisError: It stands for none.
    """
    # from the epoch on, so that a split by time holds all sessions out
    rule = {"kind": "time", "seed": 0, "holdout": 0.0, "cutoff_ms": 0}
    kind, _, moment = text.partition(":")
    if text == "all":
        return rule
    if text == "manifest":
        return rule | _read_split(manifest)
    try:
        begin = datetime.fromisoformat(moment)
    except ValueError:
        kind = ""
    if kind != "since":
        raise AnalysisError(f"holdout {text}: allowed are {HOLDOUTS}")
    aware = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
    return rule | {"cutoff_ms": round(aware.timestamp() * 1000)}


def _read_split(manifest: Mapping[str, Any]) -> dict[str, Any]:
    problem = "no manifest.json beside the recommendations"
    try:
        if manifest:
            problem = "no split and seed in manifest.json"
        split = manifest["split"]
        kind, seed = split["kind"], int(manifest["seed"])
        share = float(split.get("holdout", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(f"holdout manifest: {problem} ({error!r})") from None
    if kind not in ("session_hash", "newest", "last_session"):
        raise AnalysisError(
            f"holdout manifest: a split by {kind}; name the moment it was cut at, since:MOMENT"
        )
    return {"kind": kind, "seed": seed, "holdout": share}


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
    holdout: Mapping[str, Any],
    uniform: int | None = None,
) -> LoggedSessions:
    """Read the sessions of the table `events` that `parse_holdout` names.

    Raises:
        AnalysisError: There is none, or `logged_sessions` refuses them.
    """
    queries.attach_query(connection, "named_events", "sessions/named_events")
    queries.materialize(connection, "sessions", "sessions/sessions")
    queries.materialize(connection, "splits", "sessions/splits", **holdout)
    queries.attach_query(connection, "split_events", "sessions/split_events")
    events = queries.fetch_table(connection, "offpolicy/session_events")
    if not events.num_rows:
        raise AnalysisError("the holdout has no session; at least one is needed")
    return logged_sessions(events, uniform)


def logged_sessions(events: pa.Table, uniform: int | None = None) -> LoggedSessions:
    """Convert a table of the columns of `offpolicy/session_events.sql` to arrays.

    Args:
        events: The table.
        uniform: Tracks of the catalogue, where of an event without propensity every one was equally
            likely, repeats included, as in the homework's random collection. Without, such an event
            does not count.

    Raises:
        AnalysisError: The catalogue is too small.
    """
    users, listener = np.unique(events["user"].to_numpy(), return_inverse=True)
    position = events["position"].to_numpy()
    propensity = events["propensity"].cast(pa.float64()).to_numpy()
    track = events["track"].to_numpy()
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
