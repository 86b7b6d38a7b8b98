"""Small logs and stores for tests: sessions as tables of (user, session, [(track, time), …])."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.ingest import pipeline as ingest
from tests.recsys import events

START_MS = 1_767_225_600_000


@dataclass(frozen=True)
class Session:
    """A listener's session: its tracks and times in order, the organic track first."""

    user: int
    start_ms: int
    heard: Sequence[tuple[int, float]]
    name: str | None = None


def events_of(session: Session) -> list[dict[str, Any]]:
    """Return the session's events as the log has them, a second apart."""
    following = [*(track for track, _ in session.heard[1:]), None]
    name = {"session": session.name} if session.name else {}
    return [
        {
            "message": "last" if recommendation is None else "next",
            "timestamp": session.start_ms + 1000 * position,
            "user": session.user,
            "track": track,
            "time": time,
            "latency": 0.001,
            "recommendation": recommendation,
            "experiments": {},
            **name,
        }
        for position, ((track, time), recommendation) in enumerate(
            zip(session.heard, following, strict=True)
        )
    ]


def random_sessions(
    seed: int, *, listeners: int, tracks: int, sessions: int, named: bool = True
) -> list[Session]:
    """Draw sessions of listeners who like their own third of the catalogue, a day apart."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(sessions):
        user = int(generator.integers(listeners))
        length = int(generator.integers(2, 9))
        heard = [(int(3 * generator.integers(tracks // 3) + user % 3), 1.0)]
        for _ in range(length - 1):
            track = int(generator.integers(tracks))
            likes = 0.8 if track % 3 == user % 3 else 0.1
            time = float(generator.beta(4 * likes, 4 * (1 - likes)))
            heard.append((track, round(time, 2)))
        start_ms = START_MS + number * 86_400_000
        made.append(Session(user, start_ms, heard, f"s{number}" if named else None))
    return made


def write_log(
    file: Path, sessions: Iterable[Session], tracks: int | None = None
) -> Path:
    """Write an event log; `tracks` makes the catalogue known."""
    rows = (event for session in sessions for event in events_of(session))
    return events.write_log(file, rows, tracks=tracks)


def make_store(
    folder: Path,
    sessions: Iterable[Session],
    *,
    partitions: int | None = None,
    tracks: int | None = None,
) -> Path:
    """Ingest sessions into a new store; `tracks` makes the catalogue known."""
    log = write_log(folder / "log" / "events.jsonl", sessions, tracks)
    ingest.ingest([log], folder / "store", partitions=partitions)
    return folder / "store"


def random_store(
    folder: Path,
    *,
    listeners: int,
    tracks: int,
    sessions: int,
    partitions: int | None = None,
) -> Path:
    """Ingest random sessions of a known catalogue into a new store."""
    drawn = random_sessions(5, listeners=listeners, tracks=tracks, sessions=sessions)
    return make_store(folder, drawn, partitions=partitions, tracks=tracks)


def write_part(file: Path, sessions: Iterable[Session]) -> Path:
    """Write sessions as a part of a store."""
    rows = [
        {"session": None, **event, "share": event["time"]}
        for session in sessions
        for event in events_of(session)
    ]
    columns = ("user", "timestamp", "track", "share", "session", "message")
    pq.write_table(pa.Table.from_pylist(rows).select(columns), file)
    return file
