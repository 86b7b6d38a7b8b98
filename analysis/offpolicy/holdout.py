"""Which sessions of a log a policy may be valued on: those that it was not learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.errors import AnalysisError

HELP = "all | last_session | session_hash:SHARE:SEED | since:MOMENT | manifest | a Parquet file (user, session)"


@dataclass(frozen=True)
class Holdout:
    """A rule that says which sessions count.

    Attributes:
        text: As on the command line.
        query: The SQL file that picks them from the table `sessions`.
        parameters: Its parameters.
        file: A Parquet file that names them, instead of a query.
    """

    text: str
    query: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)
    file: Path | None = None


def parse_holdout(text: str, manifest: Path | None = None) -> Holdout:
    """Return the rule that a text of the command line stands for.

    Args:
        text: As in `HELP`.
        manifest: The manifest of the recommendations, which "manifest" refers to.

    Raises:
        AnalysisError: It stands for none.
    """
    kind, *values = text.split(":", maxsplit=1 if text.startswith("since:") else -1)
    try:
        match kind, values:
            case "all", []:
                return Holdout(text, "sessions/heldout_by_time", {"cutoff_ms": 0})  # the epoch
            case "last_session", []:
                return Holdout(text, "sessions/heldout_last")
            case "session_hash", [share, seed]:
                return _by_hash(float(share), int(seed))
            case "since", [moment]:
                begin = datetime.fromisoformat(moment)
                aware = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
                return Holdout(text, "sessions/heldout_by_time", {"cutoff_ms": round(aware.timestamp() * 1000)})
            case "manifest", []:
                return _of_manifest(manifest)
    except ValueError:
        raise AnalysisError(f"holdout {text}: allowed are {HELP}") from None
    if Path(text).is_file():
        return Holdout(text, file=Path(text))
    raise AnalysisError(f"holdout {text}: allowed are {HELP}")


def keep_heldout_sessions(connection: queries.Connection, holdout: Holdout) -> None:
    """Make the held-out ones of the table `sessions` readable as the table `heldout_sessions`.

    Raises:
        AnalysisError: The file of sessions cannot be read.
    """
    if holdout.file is None:
        queries.materialize(connection, "heldout_sessions", holdout.query, **holdout.parameters)
        return
    try:
        rows = pq.read_table(holdout.file, columns=["user", "session"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise AnalysisError(f"{holdout.file}: not a Parquet file with the columns user and session ({error})") from None
    queries.attach_arrow(connection, "heldout_sessions", rows)


def _by_hash(share: float, seed: int) -> Holdout:
    if not 0 < share < 1 or seed < 0:
        raise ValueError
    return Holdout(f"session_hash:{share:g}:{seed}", "sessions/heldout_by_hash", {"holdout": share, "seed": seed})


def _of_manifest(manifest: Path | None) -> Holdout:
    if manifest is None or not manifest.exists():
        raise AnalysisError(f"holdout manifest: no {manifest or 'manifest.json'} beside the recommendations")
    try:
        content = orjson.loads(manifest.read_bytes())
        split, seed = content["split"], content["seed"]
        if split["kind"] == "last_session":
            return parse_holdout("last_session")
        if split["kind"] == "session_hash":
            return _by_hash(split["holdout"], seed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{manifest}: no split and seed to be read here ({error!r})") from None
    raise AnalysisError(
        f"{manifest}: split {split['kind']} depends on the whole store; name the moment it was cut at, since:MOMENT"
    )
