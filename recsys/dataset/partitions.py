"""Turn a partition of the session store into interactions and held-out listening, on a worker.

Plain functions, paths in and a small result out. Every event of a listener is in one partition, so a
partition is split, checked and summed without looking at any other.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from analysis import queries
from analysis.store import PartitionFile, Store
from recsys.config import Feedback
from recsys.dataset.split import SplitRule
from recsys.errors import SplitError
from recsys.store.remote import download_files, partition_files
from recsys.workspace import open_workspace

COUNTS = ("events", "heldout_events", "sessions", "heldout_sessions")
Kind = Literal["interactions", "plays", "heldout", "users", "tracks", "logged"]


def partition_file(folder: Path, kind: Kind, partition: int) -> Path:
    """Return the path of a file that `prepare_partition` writes."""
    return folder / f"{kind}-{partition:03d}.arrow"


def prepare_partition(
    store: str,
    parts: Sequence[PartitionFile],
    pieces: str,
    rule: SplitRule,
    feedback: Feedback,
) -> dict[str, int]:
    """Split a partition's sessions, and write its files to the address `pieces`.

    Returns:
        The partition's events and sessions and the held-out ones of both, under the names in `COUNTS`.

    Raises:
        SplitError: A session is on both sides, or an event was lost: nothing learned from it could
            be trusted.
    """
    workspace = open_workspace(pieces)
    partition = parts[0].partition
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with queries.connect(threads=1) as connection:
        files = download_files(store, parts)
        attach_events(connection, files, rule)
        queries.materialize(connection, "sessions", "sessions/sessions")
        queries.materialize(
            connection,
            "heldout_sessions",
            "sessions/heldout_sessions",
            **rule.parameters,
        )
        queries.materialize(connection, "split_events", "sessions/split_events")
        queries.attach_query(connection, "organic_events", "sessions/organic_events")
        (found,) = queries.fetch_table(connection, "sessions/split_summary").to_pylist()
        if found["sessions_on_both"] or found["split_events"] != found["events"]:
            raise SplitError(
                f"partition {partition}: {found['sessions_on_both']} sessions are on both sides of the "
                f"split and {found['split_events']} of {found['events']} events on either; "
                "allowed are 0, and all"
            )
        for kind, (name, values) in _results(rule, feedback).items():
            file = partition_file(workspace.folder, kind, partition)
            table = queries.fetch_table(connection, name, **values)
            with pa.ipc.new_file(
                file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
            ) as target:
                target.write_table(table)
            workspace.upload(file.name)
            workspace.evict(file.name)
    return {name: found[name] for name in COUNTS}


def complete_rule(store: Store, rule: SplitRule) -> SplitRule:
    """Return a rule with the cutoff of a split by time, which follows from all sessions."""
    if rule.split.kind != "time":
        return rule
    starts = []
    for files in partition_files(store):
        with queries.connect() as connection:
            attach_events(connection, files, rule)
            queries.materialize(connection, "sessions", "sessions/sessions")
            starts.append(queries.fetch_table(connection, "sessions/starts_by_minute"))
    with queries.connect() as connection:
        connection.register("starts", pa.concat_tables(starts))
        holdout = rule.split.holdout
        found = queries.fetch_table(connection, "sessions/cutoff", holdout=holdout)
    return replace(rule, cutoff_ms=found["cutoff_ms"][0].as_py())


def attach_events(
    connection: queries.Connection,
    files: Sequence[Path],
    rule: SplitRule,
) -> None:
    """Make the tables events and named_events of a partition's files."""
    if rule.is_weighted:
        queries.attach_parquet(connection, "stored", files)
        queries.materialize(
            connection,
            "events",
            "interactions/events",
            by_row=rule.split.kind == "newest",
            has_moments=rule.has_moments,
            train=list(rule.train),
            test=list(rule.test),
        )
    else:
        queries.attach_parquet(connection, "events", files)
    queries.attach_query(connection, "named_events", "sessions/named_events")


def _results(
    rule: SplitRule, feedback: Feedback
) -> dict[Kind, tuple[str, dict[str, object]]]:
    """Name the statement of each file, with its parameters."""
    counted: dict[str, object] = {"min_time": feedback.min_time}
    results: dict[Kind, tuple[str, dict[str, object]]] = {
        "users": ("sessions/users", {}),
        "heldout": ("sessions/heldout", {"is_weighted": rule.is_weighted}),
    }
    if not rule.has_catalogue:
        results["tracks"] = ("sessions/tracks", {})
    if rule.is_ordered:
        results["plays"] = ("sessions/plays", counted)
    if rule.is_weighted:
        results["interactions"] = ("interactions/weights", counted)
    else:
        results["interactions"] = ("sessions/interactions", counted)
        results["logged"] = ("offpolicy/session_events", {})
    return results
