"""Select the plays that an export has not learned from, and keep them for a replay."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.plays.check import attach_checked
from analysis.plays.columns import stored_columns
from analysis.plays.query import PlaysQuery
from botify.model.catalogue import load_catalogue
from botify.model.manifest import read_manifest
from listening_loop.errors import LoopError
from looplib.arrays import NO_TRACK, BoolArray, IntArray, column_values
from looplib.event_fields import SESSION_SILENCE_MS
from looplib.files import atomic_write, json_digest
from looplib.memory import FILE_NAME as LATEST
from looplib.progress import say
from recsys.export.version import TRACKS

_MOST_LOST = 0.5  # share of the new plays that a split at one moment may leave out
_FACTS = b"facts"


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
    facts: dict[
        str, Any
    ]  # settings that decide the outcome, and figures for the report

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


def read_plays(file: Path) -> NewestPlays:
    """Read the plays that `select_plays` has written."""
    table = pq.read_table(file)
    names = ("listener", "refits", "opens", "is_repeat", "is_unplayed", "is_known")
    listener, refits, *flags = (column_values(table[name]) for name in names)
    opens, is_repeat, is_unplayed, is_known = (flag > 0 for flag in flags)
    facts = orjson.loads(table.schema.metadata[_FACTS])
    users, tracks, times = (
        table[name].to_pylist() for name in ("user", "track", "time")
    )
    return NewestPlays(
        listener,
        refits,
        opens,
        is_repeat,
        is_unplayed,
        is_known,
        users,
        tracks,
        times,
        facts,
    )


def select_plays(
    query: PlaysQuery,
    version: Path,
    refit_every_ms: int | None,
    facts: dict[str, Any],
    target: Path,
) -> None:
    """Select the plays of a query that a version has not learned from.

    Args:
        query: The plays.
        version: The folder of a published version.
        refit_every_ms: How much time is replayed between refits; None without refits.
        facts: Settings of the service and the run that decide the outcome.
        target: The Parquet file that takes the plays.

    Raises:
        LoopError: The version has learned from the plays, or they have no order, or no times for
            refits.
        UserError: A file or the version cannot be read.
    """
    manifest = read_manifest(version)
    path = query.name
    with np.load(version / LATEST) as arrays:
        learned_users, latest = arrays["users"], arrays["latest"]
    learned = pa.table({"user": list(map(str, learned_users)), "latest": latest})
    with tempfile.TemporaryDirectory() as folder, queries.connect() as connection:
        parts = attach_checked(connection, query, Path(folder))
        columns = stored_columns(parts[0].columns)
        has_times = "timestamp" in columns
        order = "timestamp" if has_times else "position"
        if order not in columns:
            raise LoopError(
                f"{path}: a replay needs the order of plays, and the query returns neither "
                "played_at nor position"
            )
        if order not in manifest.data.get("columns", ()):
            raise LoopError(
                f"{version}: learned from plays without {order}s, so nothing says which plays "
                f"of {path} it has seen; without a query, a file is read as an event log"
            )
        if refit_every_ms and not has_times:
            raise LoopError(
                f"{path}: --refit-every needs times, and its plays have none"
            )
        connection.register("learned", learned)
        (counts,) = queries.fetch_table(connection, "replay/learned_plays").to_pylist()
        rows = queries.fetch_table(
            connection,
            "replay/newest_plays",
            silence_ms=SESSION_SILENCE_MS,
            has_moments=has_times,
        )
    if len(rows) <= _MOST_LOST * counts["later"]:
        share = counts["learned"] / max(counts["learned"] + counts["later"], 1)
        make = "export --run RUN"
        if has_times:
            make = "search --config SEARCH --run OLDER-RUN --set split.kind=time"
        raise LoopError(
            f"{version} has learned from {share:.1%} of the plays of {path}, and {len(rows):,} "
            "are later than all that it has learned from; leave the newest out: listening-loop "
            f"{make} --out OLDER --set export.learn_from=training"
        )
    catalogue = load_catalogue(version / TRACKS)
    users, tracks = rows["user"].to_pylist(), rows["track"].to_pylist()
    try:
        users = users if learned_users.dtype.kind == "U" else list(map(int, users))
        tracks = tracks if catalogue.is_text else list(map(int, tracks))
    except ValueError as error:
        raise LoopError(
            f"{path}: ids are of another kind than those of {version} ({error})"
        ) from None
    opens = column_values(rows["opens"]) > 0
    if opens.all():
        raise LoopError(f"{path}: no session has two plays")
    refits, moments = plan_refits(
        column_values(rows["timestamp"]), opens, refit_every_ms
    )
    split = "each listener's newest, by position"
    if has_times:
        moment = datetime.fromtimestamp(latest.max() / 1000, UTC)
        split = f"after {moment:%Y-%m-%d %H:%M:%S} UTC"
    has_sessions = has_times or "session" in columns
    is_lacking = np.array([catalogue.number(track) == NO_TRACK for track in tracks])
    facts = {
        "plays": json_digest([users, tracks, opens.tolist()]),
        "version": manifest.model,
        "is_chosen": manifest.data.get("learned_from") == "training",
        "rejected": counts["rejected"],
        "split": split,
        "refits": moments,
        "sessions": int(opens.sum()) if has_sessions else None,
        "catalogue": len(catalogue),
        "lacking": int(np.count_nonzero(is_lacking)),
        **facts,
    }
    values = dict(zip(rows.column_names, rows.columns, strict=True))
    is_unplayed = (column_values(rows["is_unplayed"]) > 0) & ~is_lacking
    values |= {"user": users, "track": tracks, "refits": refits}
    values["is_unplayed"] = is_unplayed.astype(np.uint8)
    table = pa.table(values)
    with atomic_write(target) as file:
        pq.write_table(
            table.replace_schema_metadata({_FACTS: orjson.dumps(facts)}), file
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
