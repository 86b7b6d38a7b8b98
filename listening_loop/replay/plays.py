"""Select the plays that a service has not learned from."""

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from analysis import queries
from analysis.plays.check import attach_checked
from analysis.plays.columns import stored_columns
from analysis.plays.query import PlaysQuery
from botify.model.catalogue import load_catalogue
from botify.model.manifest import read_manifest
from listening_loop.errors import LoopError
from looplib.arrays import BoolArray, IntArray, column_values
from looplib.event_fields import SESSION_SILENCE_MS
from looplib.files import atomic_write, json_digest
from looplib.memory import FILE_NAME as LATEST
from looplib.progress import say
from looplib.randomness import make_generator
from recsys.export.version import TRACKS

_MOST_LOST = 0.5  # share of the new plays that a split at one moment may leave out
_WHOLE = re.compile("0|[1-9][0-9]{0,17}")  # ids that every reader takes for numbers
OLDER = "older.csv"  # the plays that a service may learn from


@dataclass(frozen=True)
class NewestPlays:
    """The plays of a replay by listener, each in order; arrays and lists have shape (plays,)."""

    listener: IntArray  # number of the listener, from 0
    refits: IntArray  # the number of refits before the session
    opens: BoolArray  # the first play of a session
    is_repeat: BoolArray  # the listener has played the track before
    is_unplayed: BoolArray  # the catalogue has the track, and the export no play of it
    is_known: BoolArray  # the export has learned from plays of the listener
    users: list[Any]  # ids
    tracks: list[Any]  # ids
    times: list[float]  # share that was heard, 0..1
    # settings that decide the outcome, and figures for the report
    protocol: dict[str, Any]

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return int(self.listener[-1]) + 1

    @property
    def has_sessions(self) -> bool:
        """Whether it is known which plays are of a session."""
        return self.protocol["sessions"] is not None

    @property
    def has_next(self) -> BoolArray:
        """Whether the next play is of the same session."""
        return ~np.append(self.opens[1:], True)


_Learned = tuple[pa.Table, set[str], tuple[type, type], dict[str, Any]]
"""Plays that a service has learned from.

A table of `user` and `latest`, the moment or position of the listener's latest play; ids of the
catalogue; types of listeners' and tracks' ids in requests; and the protocol.
"""


def select_plays(
    query: PlaysQuery,
    version: Path | None,
    refit_every_ms: int | None,
    protocol: dict[str, Any],
    folder: Path,
    after: float = 0.8,
) -> NewestPlays:
    """Select the plays of a query that a version, or a service, has not learned from.

    Args:
        query: The plays.
        version: The folder of a published version; None if the service is to learn from the oldest
            plays, which are written to `older.csv`.
        refit_every_ms: How much time is replayed between refits; None without refits.
        protocol: Settings of the service and the run that decide the outcome.
        folder: Where `older.csv` goes.
        after: Share of plays that the service may learn from, if there is no version.

    Raises:
        LoopError: The version has learned from the plays, or they have no order, or no times for
            refits.
        UserError: A file or the version cannot be read.
    """
    path = query.name
    with tempfile.TemporaryDirectory() as rejects, queries.connect() as connection:
        parts = attach_checked(connection, query, Path(rejects))
        columns = stored_columns(parts[0].columns)
        has_times = "timestamp" in columns
        order = "timestamp" if has_times else "position"
        if order not in columns:
            raise LoopError(
                f"{path}: a replay needs the order of plays, and the query returns neither "
                "played_at nor position"
            )
        if refit_every_ms and not has_times:
            raise LoopError(
                f"{path}: --refit-every needs times, and its plays have none"
            )
        if version:
            learned = _read_version(version, order, path)
        else:
            options = {"share": after, "has_moments": has_times}
            older = queries.fetch_table(connection, "replay/older_plays", **options)
            learned = _write_older(older, folder / OLDER, path)
        latest, catalogue, kinds, learned_protocol = learned
        connection.register("learned", latest)
        (counts,) = queries.fetch_table(connection, "replay/learned_plays").to_pylist()
        rows = queries.fetch_table(
            connection,
            "replay/newest_plays",
            silence_ms=SESSION_SILENCE_MS,
            has_moments=has_times,
        )
    if version and len(rows) <= _MOST_LOST * counts["later"]:
        share = counts["learned"] / max(counts["learned"] + counts["later"], 1)
        make = "export --run RUN"
        if has_times:
            make = "search --config SEARCH --run OLDER-RUN --set split.kind=time"
        raise LoopError(
            f"{version} has learned from {share:.1%} of the plays of {path}, and only "
            f"{len(rows):,} plays are newer than its training; export without the newest plays: "
            f"listening-loop {make} --out OLDER --set export.learn_from=training"
        )
    users, tracks = rows["user"].to_pylist(), rows["track"].to_pylist()
    if protocol.get("random_futures"):
        generator = make_generator(0, "random futures")
        tracks = generator.choice(sorted(catalogue), len(tracks)).tolist()
    is_lacking = np.array([track not in catalogue for track in tracks])
    try:
        users, tracks = (
            [*map(kind, ids)] for kind, ids in zip(kinds, (users, tracks), strict=True)
        )
    except ValueError as error:
        raise LoopError(
            f"{path}: ids are of another kind than ids of {version} ({error})"
        ) from None
    opens = column_values(rows["opens"]) > 0
    if opens.all():
        raise LoopError(f"{path}: no session has two plays")
    refits, moments = plan_refits(
        column_values(rows["timestamp"]), opens, refit_every_ms
    )
    split = "each listener's newest, by position"
    if has_times:
        moment = datetime.fromtimestamp(np.max(latest["latest"]) / 1000, UTC)
        split = f"after {moment:%Y-%m-%d %H:%M:%S} UTC"
    has_sessions = has_times or "session" in columns
    protocol = {
        "plays": json_digest([users, tracks, opens.tolist()]),
        "rejected": counts["rejected"],
        "split": split,
        "refits": moments,
        "sessions": int(opens.sum()) if has_sessions else None,
        "catalogue": len(catalogue),
        "lacking": int(np.count_nonzero(is_lacking)),
        **learned_protocol,
        **protocol,
    }
    listener, *flags = (
        column_values(rows[name])
        for name in ("listener", "is_repeat", "is_unplayed", "is_known")
    )
    is_repeat, is_unplayed, is_known = (flag > 0 for flag in flags)
    return NewestPlays(
        listener,
        refits,
        opens,
        is_repeat,
        is_unplayed & ~is_lacking,
        is_known,
        users,
        tracks,
        rows["time"].to_pylist(),
        protocol,
    )


def _read_version(version: Path, order: str, path: str) -> _Learned:
    """Read the protocol of the plays that a version has learned from, or raise a LoopError."""
    manifest = read_manifest(version)
    if order not in manifest.data.get("columns", ()):
        raise LoopError(
            f"{version}: learned from plays without {order}s, so nothing says which plays "
            f"of {path} it has seen; without a query, a file is read as an event log"
        )
    with np.load(version / LATEST) as arrays:
        users, latest = arrays["users"], arrays["latest"]
    catalogue = load_catalogue(version / TRACKS)
    is_chosen = manifest.data.get("learned_from") == "training"
    return (
        pa.table({"user": [*map(str, users)], "latest": latest}),
        {*map(str, catalogue.ids)},
        (str if users.dtype.kind == "U" else int, str if catalogue.is_text else int),
        {"version": manifest.model, "is_chosen": is_chosen},
    )


def _write_older(older: pa.Table, target: Path, path: str) -> _Learned:
    """Write plays to learn from, without columns that have no values, or raise a LoopError."""
    if not len(older):
        raise LoopError(f"{path}: no play is left to learn from; raise --after")
    latest = older.group_by("listener").aggregate([("timestamp", "max")])
    ids = [latest["listener"].to_pylist(), older["track"].unique().to_pylist()]
    user_kind, track_kind = (
        int if all(map(_WHOLE.fullmatch, column)) else str for column in ids
    )
    names = [name for name in older.column_names[:-1] if older[name].null_count == 0]
    with atomic_write(target) as file:
        pa.csv.write_csv(older.select(names), file)
    return (
        latest.rename_columns(["user", "latest"]),
        {*ids[1]},
        (user_kind, track_kind),
        {"version": None, "is_chosen": False},
    )


def plan_refits(
    moment_ms: IntArray, opens: BoolArray, every_ms: int | None
) -> tuple[IntArray, list[str]]:
    """Plan a refit after each span of time in which plays were replayed.

    Sessions that are running then are replayed to their ends before it.

    Args:
        moment_ms: When each play was, shape (plays,).
        opens: Whether it begins a session, shape (plays,).
        every_ms: The span; None for no refits.

    Returns:
        How many refits are before each play's session, and when each of them is.
    """
    if every_ms is None:
        return np.zeros(len(moment_ms), np.int64), []
    began = moment_ms[opens][opens.cumsum() - 1]
    spans, refits = np.unique((began - began.min()) // every_ms, return_inverse=True)
    if len(spans) == 1:
        say("--refit-every: all plays are within one such span, so there is no refit")
    seconds = (began.min() + every_ms * spans[1:]) / 1000
    return refits, [
        datetime.fromtimestamp(at, UTC).isoformat() for at in seconds.tolist()
    ]
