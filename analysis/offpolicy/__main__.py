"""The command `listening-loop offpolicy`: what lists would be worth."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.table import Table

from looplib.cli import importing, make_app, run
from looplib.files import atomic_write_json
from looplib.tables import output, table

with importing():
    import numpy as np

    from analysis.ab.events import Events, read_events
    from analysis.errors import AnalysisError
    from analysis.logs.sources import digest
    from analysis.offpolicy.estimate import OffPolicyEstimate, estimate_policy
    from analysis.offpolicy.logged import (
        HOLDOUTS,
        LoggedSessions,
        parse_holdout,
        read_sessions,
    )
    from analysis.offpolicy.recommendations import (
        Recommendations,
        read_recommendations,
        serve_lists,
    )
    from analysis.planning import Logs, OutFile
    from analysis.statistics.effects import Interval
    from analysis.store import content_digest

PROG = "listening-loop offpolicy"
LOGGING_HELP = (
    "logged (nowhere) | uniform:TRACKS, where TRACKS are those of the catalogue"
)
app = make_app(
    "Estimate what lists of recommendations would be worth, "
    "from a log whose propensities are known."
)


@app.command(
    epilog="Example: listening-loop offpolicy out/later/log --recommendations "
    "T1=out/demo/run/export/current/recommendations.jsonl --holdout all"
)
def main(
    logs: Logs,
    recommendations: Annotated[
        list[str],
        typer.Option(
            help="[NAME=]FILE[:in-order] of lines {user, tracks}; repeatable. A name may "
            "be an arm's. Served is any track of the list, or in order the best one; "
            "tracks heard in the session are out."
        ),
    ],
    holdout: Annotated[
        str,
        typer.Option(
            help=f"Sessions that the lists were not learned from: {HOLDOUTS}."
        ),
    ],
    logging_policy: Annotated[
        str,
        typer.Option(
            help=f"Where an event without propensity gets one: {LOGGING_HELP}."
        ),
    ] = "logged",
    out: OutFile = None,
) -> None:
    """Estimate what recommendations are worth."""
    uniform = _uniform_tracks(logging_policy)
    lists = [read_recommendations(text) for text in recommendations]
    rule = parse_holdout(holdout, lists[0].manifest)
    with read_events(logs, unused=()) as logged_events:
        logged_events.connection.table("logged").create_view("events")
        sessions = read_sessions(logged_events.connection, rule, uniform)
    # of the policy that logged the recommendations every weight is 1
    drawn = np.where(sessions.counted, sessions.propensity, 0.0)
    logged = estimate_policy(sessions, drawn, sessions.counted).snips
    estimates = [
        (listed, _estimate(sessions, listed, logged_events)) for listed in lists
    ]
    if out:
        document = {
            "sources": logged_events.sources,
            "holdout": rule,
            "listeners": len(sessions.users),
            "sessions": sessions.sessions,
            "unknown": sessions.unknown,
            "unfollowed": sessions.unfollowed,
            "logged": logged,
            "recommendations": [_document(*pair) for pair in estimates],
        }
        atomic_write_json(out, document)
    console = output()
    console.print(estimates_table(estimates, logged))
    for listed, estimate in estimates:
        for reason in estimate.reasons:
            console.print(f"{listed.name}: not conclusive: {reason}", soft_wrap=True)


def _uniform_tracks(text: str) -> int | None:
    """Read of how many tracks every one was equally likely; None where that is not so."""
    kind, _, tracks = text.partition(":")
    if text == "logged":
        return None
    if kind == "uniform" and tracks.isdecimal() and int(tracks):
        return int(tracks)
    raise AnalysisError(f"logging policy {text}: allowed are {LOGGING_HELP}")


def _estimate(
    sessions: LoggedSessions,
    lists: Recommendations,
    events: Events,
) -> OffPolicyEstimate:
    policy = serve_lists(sessions, lists.users, lists.tracks, lists.serving)
    try:
        estimate = estimate_policy(sessions, *policy)
    except AnalysisError as error:
        raise AnalysisError(f"{lists.file}: {error}") from None
    data = lists.manifest.get("data", {})
    digests = {store.manifest.digest for store in events.stores}
    digests.add(content_digest(map(digest, events.logs)))
    if data.get("store") in digests and data.get("learned_from", "all") == "all":
        reason = "the lists were learned from all sessions of these very logs"
        return replace(estimate, reasons=(reason, *estimate.reasons))
    return estimate


def _document(lists: Recommendations, estimate: OffPolicyEstimate) -> dict[str, Any]:
    """Convert an estimate to JSON's types."""
    shown = asdict(estimate)
    del shown["sums"]
    return {
        "name": lists.name,
        "file": str(lists.file),
        "serving": lists.serving,
        "conclusive": not estimate.reasons,
        **shown["snips"],
        **shown,
    }


def estimates_table(
    estimates: Sequence[tuple[Recommendations, OffPolicyEstimate]], logged: Interval
) -> Table:
    """Lay out the estimates, highest first, and the value of the logged recommendations."""
    names = ["recommendations", "by SNIPS", "conclusive", "served", "by IPS"]
    names += ["matched", "ESS"]
    rows = [
        [
            lists.name,
            _text(row.snips),
            "no" if row.reasons else "yes",
            lists.serving,
            _text(row.ips),
            f"{row.matched:,} of {row.requests:,}",
            f"{row.ess:,.0f}",
        ]
        for lists, row in sorted(estimates, key=lambda pair: -pair[1].snips.value)
    ]
    rows.append(["as logged", _text(logged), *[""] * (len(names) - 2)])
    caption = "Share heard of a recommended track, with 95 % intervals."
    return table(names, rows, needed=3, numbers_from=1, caption=caption)


def _text(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.lower:.4f} … {interval.upper:.4f})"


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
