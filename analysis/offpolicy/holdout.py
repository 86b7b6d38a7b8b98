"""Which sessions of a log a policy may be valued on: those that it was not learned from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.errors import AnalysisError

HELP = "all | last_session | session_hash:SHARE:SEED | since:MOMENT | manifest | a Parquet file (user, session)"

Kind = Literal["all", "last_session", "session_hash", "since", "file"]


@dataclass(frozen=True)
class Holdout:
    """A rule that says which sessions count.

    Attributes:
        kind: "all" sessions, where the log is none that the policy was learned from; each listener's "last_session";
            those of a "session_hash" below a share, as a search splits them; those that begin "since" a moment; those
            that a "file" names.
        share: Of "session_hash".
        seed: Of "session_hash": the search's.
        since_ms: Of "since", ms since the epoch.
        file: Of "file": Parquet with the columns user and session.
    """

    kind: Kind
    share: float = 0.0
    seed: int = 0
    since_ms: int = 0
    file: Path | None = None

    def __str__(self) -> str:
        """As on the command line."""
        texts = {
            "session_hash": f"session_hash:{self.share:g}:{self.seed}",
            "since": f"since:{datetime.fromtimestamp(self.since_ms / 1000, UTC).isoformat()}",
            "file": str(self.file),
        }
        return texts.get(self.kind, self.kind)


def parse_holdout(text: str, manifest: Path | None = None) -> Holdout:
    """The rule that a text of the command line stands for.

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
                return Holdout("all")
            case "last_session", []:
                return Holdout("last_session")
            case "session_hash", [share, seed]:
                return _hashed(float(share), int(seed))
            case "since", [moment]:
                return Holdout("since", since_ms=_milliseconds(datetime.fromisoformat(moment)))
            case "manifest", []:
                return _of_manifest(manifest)
    except ValueError:
        raise AnalysisError(f"holdout {text}: allowed are {HELP}") from None
    if Path(text).is_file():
        return Holdout("file", file=Path(text))
    raise AnalysisError(f"holdout {text}: allowed are {HELP}")


def keep_heldout_sessions(connection: queries.Connection, holdout: Holdout) -> None:
    """Makes the held-out ones of the table `sessions` readable as the table `heldout_sessions`.

    Raises:
        AnalysisError: The file of sessions cannot be read.
    """
    table = "heldout_sessions"
    match holdout.kind:
        case "all":
            queries.materialize(connection, table, "offpolicy/heldout_all")
        case "last_session":
            queries.materialize(connection, table, "sessions/heldout_last")
        case "session_hash":
            name = "sessions/heldout_by_hash"
            queries.materialize(connection, table, name, seed=holdout.seed, holdout=holdout.share)
        case "since":
            queries.materialize(connection, table, "sessions/heldout_by_time", cutoff_ms=holdout.since_ms)
        case "file":
            queries.attach_arrow(connection, table, _read_sessions(holdout.file))


def _hashed(share: float, seed: int) -> Holdout:
    if not 0 < share < 1 or seed < 0:
        raise ValueError
    return Holdout("session_hash", share=share, seed=seed)


def _milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch; a moment without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _of_manifest(manifest: Path | None) -> Holdout:
    if manifest is None or not manifest.exists():
        raise AnalysisError(f"holdout manifest: no {manifest or 'manifest.json'} beside the recommendations")
    try:
        content = orjson.loads(manifest.read_bytes())
        split, seed = content["split"], content["seed"]
        if split["kind"] == "last_session":
            return Holdout("last_session")
        if split["kind"] == "session_hash":
            return _hashed(split["holdout"], seed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{manifest}: no split and seed to be read here ({error!r})") from None
    raise AnalysisError(
        f"{manifest}: split {split['kind']} depends on the whole store; name the moment it was cut at, since:MOMENT"
    )


def _read_sessions(file: Path | None) -> pa.Table:
    try:
        return pq.read_table(file, columns=["user", "session"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise AnalysisError(f"{file}: not a Parquet file with the columns user and session ({error})") from None
