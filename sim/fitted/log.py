"""Sessions of an event log, and how well a world's sessions are like them."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.errors import SimError
from sim.figures import Heard, describe, listen
from sim.fitted.data import Ids, ListeningTable
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import Recommender
from sim.worlds.files import Record, read_records

LOG_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class SessionLog:
    """Sessions, those of a listener side by side."""

    listener: IntArray  # (sessions,) ascending
    heard: Heard

    @property
    def session(self) -> IntArray:
        """(tracks of all sessions,) the number of each one's session."""
        return np.repeat(np.arange(len(self.listener)), self.heard.length)

    @property
    def shares(self) -> FloatArray:
        """(tracks of all sessions,) share heard, 0..1."""
        return self.heard.hundredths / 100.0

    def figures(self) -> dict[str, float]:
        """Return what `describe` says, and the share of openings that repeat one of their listener's."""
        pairs = np.stack([self.listener, self.heard.tracks[self.heard.position == 0]])
        repeated = 1 - np.unique(pairs, axis=1).shape[1] / max(len(self.listener), 1)
        return describe(self.heard, self.listener) | {"openings repeated": repeated}

    def openings(self, users: int, tracks: int) -> ListeningTable:
        """Return how often each track opened a session of each listener."""
        first = self.heard.tracks[self.heard.position == 0]
        return ListeningTable.of(users, tracks, self.listener, first, np.ones(len(first)))


class _Event(Record):
    """A line of an event log; what else it says is passed over."""

    user: int | str
    track: int | str
    time: float = Field(ge=0, le=1)
    timestamp: int
    session: str


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return files of one kind: tables, or event logs, which folders stand for."""
    files = [file for path in paths for file in (sorted(path.rglob(f"*{LOG_SUFFIX}")) if path.is_dir() else [path])]
    if not files or len({file.suffix == LOG_SUFFIX for file in files}) > 1:
        found = ", ".join(map(str, paths))
        raise SimError(f"{found}: tables are expected, or event logs, files of {LOG_SUFFIX} or folders of them")
    return files


def read_log(files: Sequence[Path], user_ids: Ids, track_ids: Ids) -> SessionLog:
    """Read the sessions of event logs; users and tracks are numbered in the order of their ids."""
    users, tracks = ({str(own_id): number for number, own_id in enumerate(ids)} for ids in (user_ids, track_ids))
    numbers: dict[tuple[int, str], int] = {}
    user, session, moment, track, hundredths = (array("q") for _ in range(5))
    for file in files:
        for line, event in read_records(file, _Event):
            for name, known, found in (("user", users, str(event.user)), ("track", tracks, str(event.track))):
                if found not in known:
                    raise SimError(f"{file}:{line}: {name} {found!r} is not in the export's factors")
            user.append(users[str(event.user)])
            session.append(numbers.setdefault((user[-1], event.session), len(numbers)))
            moment.append(event.timestamp)
            track.append(tracks[str(event.track)])
            hundredths.append(round(100 * event.time))
    columns = [np.frombuffer(column, np.int64) for column in (user, session, track, hundredths)]
    if len(user) == len(numbers):
        lacks = "no recommended track was heard" if len(user) else "no events"
        raise SimError(f"{', '.join(map(str, files))}: {lacks}")
    order = np.lexsort((np.frombuffer(moment, np.int64), columns[1], columns[0]))
    who, which, heard, shares = (column[order] for column in columns)
    first = np.flatnonzero(np.append(True, np.diff(which) != 0))
    return SessionLog(who[first], Heard(np.diff(np.append(first, len(which))), heard, shares))


def compare_sessions(model: ListeningModel, log: SessionLog, seed: int) -> dict[str, tuple[float, float]]:
    """Return figures of half of the log's listeners, and of simulated sessions of the other half.

    A simulated listener has as many sessions as in the log, and is recommended any of the tracks that the log
    recommended to it.
    """
    order = make_generator(seed, "held-out listeners").permutation(model.world.listeners)
    simulated = log.listener[np.isin(log.listener, order[::2])]
    rows = np.flatnonzero(np.isin(log.listener, order[1::2]))
    events = np.isin(log.session, rows)
    held_out = Heard(log.heard.length[rows], log.heard.tracks[events], log.heard.hundredths[events])
    logged = SessionLog(log.listener[rows], held_out)
    found = SessionLog(simulated, listen(model, _recommend_logged(log), simulated, seed)).figures()
    return {name: (value, found[name]) for name, value in logged.figures().items()}


def _recommend_logged(log: SessionLog) -> Recommender:
    recommended = log.heard.position > 0
    tracks, owner = log.heard.tracks[recommended], log.listener[log.session[recommended]]

    def recommend(sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        first, end = (np.searchsorted(owner, sessions.listener[rows], side=side) for side in ("left", "right"))
        drawn = tracks[np.minimum(first + rng.integers(0, np.maximum(end - first, 1)), len(tracks) - 1)]
        return drawn, np.full(len(rows), np.nan)

    return recommend
