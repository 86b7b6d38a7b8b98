"""Held-out listening and track popularity: checked, and indexed in the database for the metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.errors import AnalysisError
from looplib.arrays import IntArray

HeldoutSource: TypeAlias = pa.Table | Path | Sequence[Path]

_HELDOUT = {"user": "integers", "track": "integers", "time": "floats"}
_POPULARITY = {"track": "integers", "listeners": "integers"}
_KINDS = {"integers": pa.types.is_integer, "floats": pa.types.is_floating}


def load_heldout(
    connection: queries.Connection, source: HeldoutSource, *, ks: Sequence[int], min_time: float
) -> tuple[IntArray, int]:
    """Indexes the held-out listening as the tables listeners, truth and ideals.

    Args:
        connection: Where the tables are made.
        source: Columns user, track and time, one row a pair: a table, a Parquet file or several.
        ks: Cut-offs.
        min_time: Listening time from which a held-out track is relevant.

    Returns:
        The users of the table, ascending, shape (listeners,), and the number of relevant pairs.

    Raises:
        AnalysisError: The source cannot be read or used, or no pair is relevant.
    """
    _attach(connection, "heldout", source, _HELDOUT)
    _refuse("the held-out table", queries.fetch_row(connection, "validation/heldout_faults"))
    listeners = queries.fetch_table(connection, "validation/listeners", min_time=min_time)
    relevant = sum(listeners["relevant"].to_pylist())
    if not relevant:
        raise AnalysisError(f"nothing to validate on: no held-out track was heard for at least {min_time}")
    queries.attach_arrow(connection, "listeners", listeners)
    queries.materialize(connection, "truth", "validation/truth")
    queries.materialize(connection, "ideals", "validation/ideals", ks=list(ks), min_time=min_time)
    queries.detach(connection, "heldout")
    return listeners["user"].to_numpy(), relevant


def load_popularity(connection: queries.Connection, rows: pa.Table, training_listeners: int) -> None:
    """Makes the training listeners of every track readable as the table popularity.

    Args:
        connection: Where the table is made.
        rows: Columns track and listeners, one row a track.
        training_listeners: Listeners of the training sessions.

    Raises:
        AnalysisError: The table cannot be used.
    """
    _attach(connection, "popularity", rows, _POPULARITY)
    faults = queries.fetch_row(connection, "validation/popularity_faults", training_listeners=training_listeners)
    _refuse("the popularity table", faults)


def _attach(connection: queries.Connection, table: str, source: HeldoutSource, kinds: Mapping[str, str]) -> None:
    if isinstance(source, pa.Table):
        _check_columns(f"the {table} table", source.schema, kinds)
        queries.attach_arrow(connection, table, source)
        return
    files = [source] if isinstance(source, Path) else list(source)
    if not files:
        raise AnalysisError(f"the {table} table: no file was given")
    for file in files:
        _check_columns(str(file), _read_schema(file), kinds)
    queries.attach_parquet(connection, table, files)


def _read_schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise AnalysisError(f"{file}: not a readable Parquet file ({error})") from None


def _check_columns(where: str, schema: pa.Schema, kinds: Mapping[str, str]) -> None:
    for column, kind in kinds.items():
        if column not in schema.names or not _KINDS[kind](schema.field(column).type):
            found = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise AnalysisError(f"{where}: needs a column {column} of {kind}, found {found or 'no column'}")


def _refuse(where: str, faults: Mapping[str, int]) -> None:
    found = [f"{name.replace('_', ' ')}: {count}" for name, count in faults.items() if count]
    if found:
        raise AnalysisError(f"{where} cannot be used, rows with {', '.join(found)}")
