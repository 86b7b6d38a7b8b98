"""Logged sessions for tests, as a plain list and as what `analysis.offpolicy` reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

USERS, TRACKS, LISTED = 400, 30, 5
# chance that a listener hears a track whole, shape (users, tracks)
MEANS = np.random.default_rng(1).beta(0.8, 1.2, size=(USERS, TRACKS))
TOP = np.argsort(-MEANS, axis=1)[:, :LISTED]  # each listener's best tracks

SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "position": pa.int64(),
        "track": pa.int64(),
        "time": pa.float64(),
        "followed": pa.bool_(),
        "propensity": pa.float64(),
    }
)


@dataclass(frozen=True)
class Session:
    """A listener's session: the organic track first, which has no propensity."""

    user: int
    tracks: Sequence[int]
    times: Sequence[float]
    propensities: Sequence[float | None]


def heldout_events(sessions: Iterable[Session]) -> pa.Table:
    """The table of `offpolicy/session_events.sql`; sessions must be by user."""
    rows = [
        {
            "user": session.user,
            "position": n + 1,
            "track": track,
            "time": time,
            "followed": n > 0,
            "propensity": p,
        }
        for session in sessions
        for n, (track, time, p) in enumerate(
            zip(
                session.tracks,
                session.times,
                [None, *session.propensities],
                strict=True,
            )
        )
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def uniform_events(
    rng: np.random.Generator,
    users: int,
    sessions: int,
    requests: int,
    tracks: int,
    means: np.ndarray,
) -> pa.Table:
    """Sessions of one length whose tracks are all drawn uniformly, repeats included.

    Args:
        rng: Of all draws.
        users: Listeners, each with as many sessions.
        sessions: Of each listener.
        requests: Of each session.
        tracks: Of the catalogue.
        means: Chance that a track is heard whole and not skipped at once, shape (users, tracks); a
            repeat always is skipped.
    """
    length = requests + 1
    track = rng.integers(tracks, size=(users, sessions, length))
    user = np.broadcast_to(np.arange(users)[:, None, None], track.shape)
    repeated = np.zeros(track.shape, dtype=bool)
    for position in range(1, length):
        repeated[..., position] = (
            track[..., :position] == track[..., position : position + 1]
        ).any(axis=-1)
    heard = (rng.random(track.shape) < means[user, track]) & ~repeated
    positions = np.broadcast_to(np.arange(length) + 1, track.shape)
    return pa.table(
        {
            "user": user.ravel(),
            "position": positions.ravel(),
            "track": track.ravel(),
            "time": heard.ravel().astype(np.float64),
            "followed": positions.ravel() > 1,
            "propensity": np.full(track.size, 1 / tracks),
        }
    )
