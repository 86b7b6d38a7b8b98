"""Read the plays of a file that an export has not learned from."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.tables.columns import Columns, Reading
from analysis.tables.reader import check_file, find_tables
from botify.model.catalogue import load_catalogue
from botify.model.manifest import read_manifest
from listening_loop.errors import LoopError
from listening_loop.init.look import look_at
from looplib.arrays import BoolArray, IntArray, column_values
from looplib.files import sha256_file
from recsys.export.version import LATEST, TRACKS
from recsys.ingest.pipeline import DEFAULT_MEMORY

# how the plays of an event log are read
_EVENTS = Reading(Columns("user", "track", share="time", timestamp="timestamp"))
_MOST_LOST = 0.5  # of the plays that are new, by the split at one moment


@dataclass(frozen=True)
class Plays:
    """Plays of listeners, in order; arrays have shape (plays,)."""

    listener: IntArray  # from 0, ascending
    users: list[Any]  # the id of each play's listener
    tracks: list[Any]  # ids
    times: list[float]  # share that was heard, 0..1
    opens: BoolArray  # a session
    is_repeat: BoolArray  # the listener has played the track before
    is_known: BoolArray  # the export has learned from plays of the listener
    in_catalogue: BoolArray
    facts: dict[str, Any]  # for the report

    @cached_property
    def starts(self) -> IntArray:
        """The position of each listener's first play, and the number of plays at the end."""
        first = np.flatnonzero(np.diff(self.listener, prepend=-1))
        return np.append(first, len(self.listener))

    @property
    def has_sessions(self) -> bool:
        """Whether it is known which plays are of a session."""
        return self.facts["sessions"] is not None

    @cached_property
    def has_next(self) -> BoolArray:
        """Whether the next play is of the same session."""
        return ~np.append(self.opens[1:], True)

    @cached_property
    def places(self) -> IntArray:
        """The place of each play in its session, from 1."""
        first = np.flatnonzero(self.opens)
        order = np.arange(len(self.opens))
        return order - np.repeat(first, np.diff(first, append=len(order))) + 1

    def sessions_of(self, listener: int) -> Iterator[range]:
        """Yield the positions of the plays of each of a listener's sessions."""
        start, end = self.starts[listener : listener + 2].tolist()
        opening = (np.flatnonzero(self.opens[start:end]) + start).tolist()
        yield from map(range, opening, [*opening[1:], end])


def read_plays(
    path: Path, version: Path, columns: dict[str, str], preset: str | None
) -> Plays:
    """Read the plays of a file, or of the files of a folder, that a version has not learned from.

    Args:
        path: The file or folder.
        version: The folder of a published version.
        columns: The columns that the owner names, by what they hold; the rest is guessed.
        preset: The published data set that it is, where it is one.

    Raises:
        LoopError: The version has learned from the plays, or they have no order.
        UserError: The file or the version cannot be read.
    """
    reading = look_at(path, columns, preset).reading or _EVENTS
    roles = reading.columns
    manifest = read_manifest(version)
    order = "timestamp" if roles.timestamp else "position"
    if not (roles.timestamp or roles.orders_by_position):
        raise LoopError(
            f"{path}: a replay needs the order of plays, and its columns name neither timestamp= "
            "nor position=; say it with --columns"
        )
    if order not in manifest.data.get("columns", ()):
        raise LoopError(
            f"{version}: learned from plays without {order}s, so nothing says which plays "
            f"of {path} it has seen"
        )
    with np.load(version / LATEST) as arrays:
        learned = {name: arrays[name].tolist() for name in ("users", "latest")}
    text_users = isinstance((learned["users"] or [0])[0], str)
    catalogue = load_catalogue(version / TRACKS)
    files = find_tables([path])
    with tempfile.TemporaryDirectory() as folder, queries.connect() as connection:
        checked: list[Path] = []
        for file in files:
            checked.append(Path(folder, f"{len(checked)}.parquet"))
            check_file(file, reading, file.name, checked[-1], DEFAULT_MEMORY)
        queries.attach_parquet(connection, "checked", checked)
        users = list(map(str, learned["users"]))
        connection.register(
            "learned", pa.table({"user": users, "latest": learned["latest"]})
        )
        (counts,) = queries.fetch_table(connection, "replay/learned_plays").to_pylist()
        rows = queries.fetch_table(
            connection,
            "replay/newest_plays",
            has_moments=order == "timestamp",
            has_share=roles.has_share,
        )
    learned_share = counts["learned"] / max(counts["learned"] + counts["later"], 1)
    if len(rows) <= _MOST_LOST * counts["later"] or not len(rows):
        raise LoopError(
            f"{version} has learned from {learned_share:.1%} of the plays of {path}, and "
            f"{len(rows):,} are later than all that it has learned from; export what leaves the "
            "newest out: listening-loop export --run RUN --out OLDER --set "
            "export.learn_from=training"
            + (" --set export.split.kind=time" if order == "timestamp" else "")
        )
    try:
        users = _convert(rows["user"], is_text=text_users)
        tracks = _convert(rows["track"], is_text=catalogue.is_text)
    except ValueError as error:
        raise LoopError(
            f"{path}: ids are of another kind than those of {version} ({error})"
        ) from None
    opens = column_values(rows["opens"]) > 0
    if opens.all():
        raise LoopError(f"{path}: no play is followed by another one in its session")
    has_sessions = bool(roles.timestamp or roles.session)
    facts = {
        "files": {Path(file.name).name: sha256_file(file.path) for file in files},
        "columns": msgspec.json.decode(reading.content),
        "version": manifest.model,
        "is_chosen": manifest.data.get("learned_from") == "training",
        "learned_share": round(learned_share, 6),
        "rejected": counts["rejected"],
        "split": _describe_split(order, counts["latest"]),
        "sessions": int(opens.sum()) if has_sessions else None,
        "plays": len(rows),
        "catalogue": len(catalogue),
    }
    return Plays(
        column_values(rows["listener"]),
        users,
        tracks,
        rows["time"].to_pylist(),
        opens,
        column_values(rows["is_repeat"]) > 0,
        column_values(rows["is_known"]) > 0,
        np.array([catalogue.number(track) >= 0 for track in tracks], np.bool_),
        facts,
    )


def _convert(ids: pa.ChunkedArray, *, is_text: bool) -> list[Any]:
    """Convert ids from text.

    Raises:
        ValueError: One is no whole number.
    """
    texts: list[str] = ids.to_pylist()
    return texts if is_text else list(map(int, texts))


def _describe_split(order: str, latest: int) -> str:
    if order == "position":
        return "each listener's newest, by position"
    moment = datetime.fromtimestamp(latest / 1000, UTC)
    return f"after {moment:%Y-%m-%d %H:%M:%S} UTC"
