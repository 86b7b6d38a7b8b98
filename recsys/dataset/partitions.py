"""Turn a partition of the session store into interactions and held-out listening, on a worker.

Plain functions, paths in and a small result out. Every play of a listener is in one partition,
which is split, checked and summed without the other partitions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.store import PLAY, StoreFile
from looplib.arrays import column_values
from looplib.files import naming
from recsys.config import Feedback
from recsys.dataset.layout import Piece
from recsys.dataset.split import SplitRule
from recsys.storage import open_workspace
from recsys.store.reader import download_files


def prepare_partition(
    store: str,
    parts: Sequence[StoreFile],
    pieces: str,
    rule: SplitRule,
    feedback: Feedback,
) -> dict[str, int]:
    """Split a partition's sessions, and write its tables to the address `pieces`.

    Returns:
        Numbers of plays and sessions, all and held out, as in `sql/sessions/summary.sql`.
    """
    workspace = open_workspace(pieces)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    counted = {"min_time": feedback.min_time}
    # the statement of each table, and its parameters
    tables: dict[Piece, tuple[str, Mapping[str, object]]] = {
        "users": ("sessions/users", {}),
        "heldout": ("sessions/heldout", {"gap": rule.split.gap}),
        "interactions": ("sessions/interactions", counted),
    }
    if rule.is_ordered:
        tables["plays"] = ("sessions/plays", counted)
    with queries.connect(threads=1) as connection:
        attach_sessions(connection, download_files(store, parts), rule)
        queries.materialize(connection, "split_plays", "sessions/split_plays")
        for piece, (statement, values) in tables.items():
            file = workspace.folder / f"{piece}-{parts[0].of:03d}.arrow"
            table = queries.fetch_table(connection, statement, **values)
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with (
                naming(file),
                pa.ipc.new_file(file, table.schema, options=options) as target,
            ):
                target.write_table(table)
            workspace.upload(file.name)
            workspace.evict(file.name)
        summary = queries.fetch_table(connection, "sessions/summary")
        counts: dict[str, int]
        (counts,) = summary.to_pylist()
    return counts


def count_starts(
    store: str,
    parts: Sequence[StoreFile],
    rule: SplitRule,
) -> pa.Table:
    """Count the sessions of a partition that begin in each minute (`sessions/starts_by_minute`)."""
    with queries.connect(threads=1) as connection:
        attach_sessions(connection, download_files(store, parts), rule)
        return queries.fetch_table(connection, "sessions/starts_by_minute")


def find_cutoff(starts: Sequence[pa.Table], holdout: float) -> int:
    """Find from when on a split by time holds sessions out.

    >>> find_cutoff([pa.table({"minute": [10, 11], "sessions": [85, 15]})], 0.15)
    660000

    Args:
        starts: The rows of `sessions/starts_by_minute` of all partitions.
        holdout: The share of all sessions that may be held out, 0..1.

    Returns:
        Milliseconds since the epoch, UTC: the first minute from which on at most the share begins,
        or the minute after the last.
    """
    table = pa.concat_tables(starts)
    minutes, row = np.unique(column_values(table["minute"]), return_inverse=True)
    sessions = np.bincount(row, column_values(table["sessions"]))
    from_here_on = sessions[::-1].cumsum()[::-1]
    allowed = minutes[from_here_on <= holdout * sessions.sum()]
    return 60_000 * int(allowed[0] if len(allowed) else minutes[-1] + 1)


def attach_sessions(
    connection: queries.Connection,
    files: Sequence[Path],
    rule: SplitRule,
) -> None:
    """Make the tables named_plays and sessions of a partition's files."""
    attach_plays(connection, files, rule)
    queries.materialize(connection, "sessions", "sessions/sessions", **rule.parameters)


def attach_plays(
    connection: queries.Connection,
    files: Sequence[Path],
    rule: SplitRule,
) -> None:
    """Make the tables stored and named_plays of a partition's files."""
    where = None
    if until := rule.split.until:
        until_ms = queries.Constant(round(until.timestamp() * 1000))
        where = queries.Column("timestamp") < until_ms
    queries.attach_parquet(connection, "stored", files, where, PLAY)
    queries.materialize(
        connection, "named_plays", "sessions/named_plays", **rule.naming
    )
