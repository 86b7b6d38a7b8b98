"""Read the plays of a file that an export has not learned from."""

import tempfile
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.tables.columns import Reading
from analysis.tables.reader import attach_checked, find_tables
from botify.model.catalogue import load_catalogue
from botify.model.manifest import read_manifest
from listening_loop.errors import LoopError
from listening_loop.init.look import look_at
from looplib.arrays import NO_TRACK, AnyArray, BoolArray, IntArray, column_values
from looplib.event_fields import SESSION_SILENCE_MS
from looplib.files import json_digest
from looplib.memory import FILE_NAME as LATEST
from looplib.progress import say
from recsys.export.version import TRACKS

_MOST_LOST = 0.5  # of the plays that are new, by the split at one moment


@dataclass(frozen=True)
class NewestPlays:
    """NewestPlays by listener, each in order; arrays and lists have shape (plays,)."""

    listener: IntArray  # from 0
    users: list[Any]  # ids
    tracks: list[Any]  # ids
    times: list[float]  # share that was heard, 0..1
    opens: BoolArray  # a session
    is_repeat: BoolArray  # the listener has played the track before
    is_known: BoolArray  # the export has learned from plays of the listener
    refits: IntArray  # how many there are before the play's session
    facts: dict[str, Any]  # for the report

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return int(self.listener[-1]) + 1

    @property
    def has_sessions(self) -> bool:
        """Whether it is known which plays are of a session."""
        return self.facts["sessions"] is not None

    @property
    def has_next(self) -> BoolArray:
        """Whether the next play is of the same session."""
        return ~np.append(self.opens[1:], True)

    def sessions(self, refits: int) -> dict[int, list[range]]:
        """List the positions of the plays of each session after so many refits, by listener."""
        sessions: dict[int, list[range]] = defaultdict(list)
        starts = np.flatnonzero(self.opens)
        ends = np.append(starts[1:], len(self.opens))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if self.refits[start] == refits:
                sessions[int(self.listener[start])].append(range(start, end))
        return sessions


def read_plays(
    path: Path,
    version: Path,
    columns: dict[str, str],
    preset: str | None = None,
    refit_every_ms: int | None = None,
    **options: Any,  # noqa: ANN401  values of several types
) -> NewestPlays:
    """Read the plays of a file, or of the files of a folder, that a version has not learned from.

    Args:
        path: The file or folder.
        version: The folder of a published version.
        columns: The columns that the owner names, by what they hold; the rest is guessed.
        preset: The published data set that it is, where it is one.
        refit_every_ms: How much time is replayed between refits; None without these.
        options: Fields of a `Reading` that the owner decides, such as `where`.

    Raises:
        LoopError: The version has learned from the plays, or they have no order, or no times for
            refits.
        UserError: The file or the version cannot be read.
    """
    reading = look_at(path, columns, preset, **options).reading
    manifest = read_manifest(version)
    order = _find_order(path, reading, version, manifest.data.get("columns", ()))
    if refit_every_ms and order == "position":
        raise LoopError(f"{path}: --refit-every needs times, and its plays have none")
    with np.load(version / LATEST) as arrays:
        learned_users, latest = arrays["users"], arrays["latest"]
    rows, counts = _select_newest(path, reading, learned_users, latest)
    if len(rows) <= _MOST_LOST * counts["later"]:
        share = counts["learned"] / max(counts["learned"] + counts["later"], 1)
        split = " --set export.split.kind=time" if order == "timestamp" else ""
        raise LoopError(
            f"{version} has learned from {share:.1%} of the plays of {path}, and {len(rows):,} "
            "are later than all that it has learned from; leave the newest out: listening-loop "
            f"export --run RUN --out OLDER --set export.learn_from=training{split}"
        )
    catalogue = load_catalogue(version / TRACKS)
    try:
        users = _to_ids(rows["user"], is_text=learned_users.dtype.kind == "U")
        tracks = _to_ids(rows["track"], is_text=catalogue.is_text)
    except ValueError as error:
        raise LoopError(
            f"{path}: ids are of another kind than those of {version} ({error})"
        ) from None
    opens, is_repeat, is_known = (
        column_values(rows[name]) > 0 for name in ("opens", "is_repeat", "is_known")
    )
    if opens.all():
        raise LoopError(f"{path}: no play is followed by another one in its session")
    refits, moments = _plan_refits(
        column_values(rows["timestamp"]), opens, refit_every_ms
    )
    split = "each listener's newest, by position"
    if order == "timestamp":
        moment = datetime.fromtimestamp(latest.max() / 1000, UTC)
        split = f"after {moment:%Y-%m-%d %H:%M:%S} UTC"
    has_sessions = order == "timestamp" or reading.columns.session
    numbers = map(catalogue.number, tracks)
    facts = {
        "plays": json_digest([users, tracks, opens.tolist()]),
        "version": manifest.model,
        "is_chosen": manifest.data.get("learned_from") == "training",
        "rejected": counts["rejected"],
        "split": split,
        "refits": moments,
        "sessions": int(opens.sum()) if has_sessions else None,
        "catalogue": len(catalogue),
        "lacking": sum(number == NO_TRACK for number in numbers),
    }
    listener, times = column_values(rows["listener"]), rows["time"].to_pylist()
    return NewestPlays(
        listener, users, tracks, times, opens, is_repeat, is_known, refits, facts
    )


def _plan_refits(
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


def _find_order(
    path: Path, reading: Reading, version: Path, learned: Collection[str]
) -> str:
    """Find the column that orders plays, which those that a version learned from have, too."""
    order = "timestamp" if reading.columns.timestamp else "position"
    if order == "position" and not reading.columns.orders_by_position:
        raise LoopError(
            f"{path}: a replay needs the order of plays, and its columns name neither timestamp= "
            "nor position=; say it with --columns"
        )
    if order not in learned:
        raise LoopError(
            f"{version}: learned from plays without {order}s, so nothing says which plays "
            f"of {path} it has seen"
        )
    return order


def _to_ids(column: pa.ChunkedArray, *, is_text: bool) -> list[Any]:
    """Convert a column of texts to ids."""
    ids = column.to_pylist()
    return ids if is_text else list(map(int, ids))


def _select_newest(
    path: Path, reading: Reading, users: AnyArray, latest: IntArray
) -> tuple[pa.Table, dict[str, int]]:
    """Select the plays later than the latest ones of some users.

    Returns:
        The rows of `sql/replay/newest_plays.sql`, and the counts of `learned_plays.sql`.
    """
    with tempfile.TemporaryDirectory() as folder, queries.connect() as connection:
        attach_checked(connection, find_tables([path]), reading, Path(folder))
        learned = pa.table({"user": list(map(str, users)), "latest": latest})
        connection.register("learned", learned)
        (counts,) = queries.fetch_table(connection, "replay/learned_plays").to_pylist()
        rows = queries.fetch_table(
            connection,
            "replay/newest_plays",
            silence_ms=SESSION_SILENCE_MS,
            has_moments=reading.columns.timestamp is not None,
            has_share=reading.columns.has_share,
        )
    return rows, counts
