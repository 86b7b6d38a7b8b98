"""Sessions of an event log, and how well a world's sessions are like them."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.errors import SimError
from sim.figures import Heard, describe, listen, share_repeated
from sim.fitted.data import Ids
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import Recommender
from sim.worlds.files import Record, read_records

LOG_SUFFIX = ".jsonl"


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


def read_log(files: Sequence[Path], user_ids: Ids, track_ids: Ids) -> Heard:
    """Read the sessions of event logs, by listener; users and tracks are numbered in the order of their ids."""
    users, tracks = ({str(own_id): number for number, own_id in enumerate(ids)} for ids in (user_ids, track_ids))
    sessions: dict[tuple[int, str], int] = {}
    user, session, moment, track, hundredths = (array("q") for _ in range(5))
    for file in files:
        for line, event in read_records(file, _Event):
            for name, known, found in (("user", users, str(event.user)), ("track", tracks, str(event.track))):
                if found not in known:
                    raise SimError(f"{file}:{line}: {name} {found!r} is not in the export's factors")
            user.append(users[str(event.user)])
            session.append(sessions.setdefault((user[-1], event.session), len(sessions)))
            moment.append(event.timestamp)
            track.append(tracks[str(event.track)])
            hundredths.append(round(100 * event.time))
    if len(user) == len(sessions):
        lacks = "no recommended track was heard" if len(user) else "no events"
        raise SimError(f"{', '.join(map(str, files))}: {lacks}")
    columns = [np.frombuffer(column, np.int64) for column in (user, session, moment, track, hundredths)]
    who, which, _, heard, shares = np.stack(columns)[:, np.lexsort((columns[2], columns[1], columns[0]))]
    first = np.flatnonzero(np.append(True, np.diff(which) != 0))
    return Heard(who[first], np.diff(np.append(first, len(which))), heard, shares)


def compare_sessions(model: ListeningModel, log: Heard, seed: int) -> dict[str, tuple[float, float]]:
    """Return figures of half of the log's listeners, and of simulated sessions of the other half.

    A simulated listener has as many sessions as in the log, and is recommended any of the tracks that the log
    recommended to it.
    """
    order = make_generator(seed, "held-out listeners").permutation(model.world.listeners)
    fitted, held_out = (log.only(np.isin(log.listener, half)) for half in (order[::2], order[1::2]))
    found = _figures(listen(model, _recommend_logged(log), fitted.listener, seed))
    return {name: (value, found[name]) for name, value in _figures(held_out).items()}


def _figures(heard: Heard) -> dict[str, float]:
    return describe(heard) | {"openings repeated": share_repeated(heard.listener, heard.organic)}


def _recommend_logged(log: Heard) -> Recommender:
    recommended = log.position > 0
    tracks, owner = log.tracks[recommended], log.listener[log.session[recommended]]

    def recommend(sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        first, end = (np.searchsorted(owner, sessions.listener[rows], side=side) for side in ("left", "right"))
        drawn = tracks[np.minimum(first + rng.integers(0, np.maximum(end - first, 1)), len(tracks) - 1)]
        return drawn, np.full(len(rows), np.nan)

    return recommend
