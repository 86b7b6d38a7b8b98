"""What the command says: a table for people, JSON for programs, and after an experiment what had been foretold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson
from rich.table import Table

from analysis.offpolicy.logged import LoggedSessions
from analysis.offpolicy.result import Estimate, OffPolicyEstimate

_DECIMALS = 4


@dataclass(frozen=True)
class Valued:
    """Recommendations and what they are worth."""

    name: str
    file: str
    serving: str
    estimate: OffPolicyEstimate
    conclusive: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What the estimates were made from.

    Attributes:
        sources: The logs or the store.
        holdout: Which sessions counted.
        listeners: Their listeners.
        sessions: How many there were.
        unknown: Recommendations whose propensity is not known; left out.
        unfollowed: Recommendations that were not played; left out.
        logged: Mean listening time of the recommendations that the log has, for comparison.
    """

    sources: tuple[str, ...]
    holdout: str
    listeners: int
    sessions: int
    unknown: int
    unfollowed: int
    logged: Estimate


def describe_source(names: Sequence[str], holdout: str, sessions: LoggedSessions, logged: Estimate) -> Source:
    """The facts about the sessions."""
    return Source(
        sources=tuple(names),
        holdout=holdout,
        listeners=len(sessions.users),
        sessions=sessions.sessions,
        unknown=sessions.unknown,
        unfollowed=sessions.unfollowed,
        logged=logged,
    )


def to_json(source: Source, valued: Sequence[Valued], foretold: Sequence[object] = ()) -> bytes:
    """The report as JSON; `foretold` are rows of `analysis.offpolicy.accuracy`."""
    document = asdict(source) | {"recommendations": [_as_document(one) for one in valued]}
    if foretold:
        document["foretold"] = list(foretold)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def table(source: Source, valued: Sequence[Valued]) -> Table:
    """The estimates, most listened to first."""
    drawn = Table(title="Mean listening time of a recommended track, with its 95 % interval over listeners")
    for column in ("recommendations", "served"):
        drawn.add_column(column)
    for column in ("IPS", "SNIPS", "doubly robust", "matched", "ESS"):
        drawn.add_column(column, justify="right")
    drawn.add_column("conclusive")
    for one in sorted(valued, key=lambda one: -one.estimate.value):
        found = one.estimate
        drawn.add_row(
            one.name,
            one.serving,
            *(_text(estimate) for estimate in (found.ips, found.snips, found.dr)),
            f"{found.matched:,} of {found.requests:,}",
            f"{found.ess:,.0f}",
            "yes" if one.conclusive else "no",
        )
    drawn.add_row("as logged", "", "", _text(source.logged), "", "", "", "")
    return drawn


def _text(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.{_DECIMALS}f}  {estimate.lower:.{_DECIMALS}f} .. {estimate.upper:.{_DECIMALS}f}"


def _as_document(one: Valued) -> dict[str, object]:
    found = one.estimate
    return {
        "name": one.name,
        "file": one.file,
        "serving": one.serving,
        "value": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "conclusive": one.conclusive,
        "reasons": one.reasons,
        "ips": found.ips,
        "snips": found.snips,
        "dr": found.dr,
        "mean_weight": found.mean_weight,
        "requests": found.requests,
        "unanswered": found.unanswered,
        "matched": found.matched,
        "ess": found.ess,
    }
