"""Which sessions of a log a policy may be valued on: those that it was not learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from analysis.errors import AnalysisError

HELP = "all | last_session | session_hash:SHARE:SEED | since:MOMENT | manifest"


@dataclass(frozen=True)
class Holdout:
    """A rule that says which sessions count.

    Attributes:
        text: As on the command line.
        query: The SQL file that picks them from the table `sessions`.
        parameters: Its parameters.
    """

    text: str
    query: str
    parameters: Mapping[str, float] = field(default_factory=dict)


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
            case "session_hash", [share, seed] if 0 < float(share) < 1 and int(seed) >= 0:
                return Holdout(text, "sessions/heldout_by_hash", {"holdout": float(share), "seed": int(seed)})
            case "since", [moment]:
                begin = datetime.fromisoformat(moment)
                aware = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
                return Holdout(text, "sessions/heldout_by_time", {"cutoff_ms": round(aware.timestamp() * 1000)})
            case "manifest", []:
                return _of_manifest(manifest)
    except ValueError:
        pass
    raise AnalysisError(f"holdout {text}: allowed are {HELP}")


def _of_manifest(manifest: Path | None) -> Holdout:
    if manifest is None or not manifest.exists():
        raise AnalysisError(f"holdout manifest: no {manifest or 'manifest.json'} beside the recommendations")
    try:
        content = orjson.loads(manifest.read_bytes())
        split, seed = content["split"], content["seed"]
        kind = split["kind"]
        rule = f"{kind}:{split['holdout']}:{seed}" if kind == "session_hash" else kind
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{manifest}: no split and seed to be read here ({error!r})") from None
    if kind == "time":
        raise AnalysisError(f"{manifest}: a split by time; name the moment it was cut at, since:MOMENT")
    return parse_holdout(rule)
