"""`python -m analysis.offpolicy`: what exported lists would be worth, from a log with known propensities.

In: event logs or a session store, and recommendations. Out: a table, and JSON with `--out`.
"""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import typer

from analysis import queries
from analysis.ab.source import find
from analysis.errors import AnalysisError
from analysis.offpolicy import predictions, report
from analysis.offpolicy.estimate import OffPolicy
from analysis.offpolicy.holdout import HELP, parse_holdout
from analysis.offpolicy.logged import LoggingPolicy, read_sessions
from analysis.offpolicy.policies import Policy, Serving
from analysis.offpolicy.recommendations import Recommendations, learned_from, read_recommendations
from analysis.offpolicy.sources import attach_events, catalogue_size_of, digests_of
from analysis.statistics.effects import Interval
from looplib.cli import make_app, run
from looplib.files import atomic_write_json
from looplib.progress import output

PROG = "python -m analysis.offpolicy"
LISTENING_TIME = "time_per_recommended_track"
LOGGING_HELP = "logged | uniform[:TRACKS] | uniform-unheard[:TRACKS]; TRACKS of the catalogue, where no file says it"

app = make_app("What lists of recommendations would be worth, from a log whose propensities are known.")


@app.command(
    epilog="Example: python -m analysis.offpolicy out/later/log --recommendations T1=out/demo/run/export/current/"
    "recommendations.jsonl --holdout all"
)
def main(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG…", help="Event logs, folders, patterns, or a session store.")
    ],
    recommendations: Annotated[
        list[str], typer.Option(help="[NAME=]FILE of lines {user, tracks}; repeatable. A name may be an arm's.")
    ],
    holdout: Annotated[str, typer.Option(help=f"Sessions that the lists were not learned from: {HELP}.")],
    serving: Annotated[
        Serving, typer.Option(help="How lists are served; tracks heard in the session are out.")
    ] = "random",
    logging_policy: Annotated[
        str, typer.Option(help=f"Where an event without propensity gets one: {LOGGING_HELP}.")
    ] = "logged",
    measured: Annotated[
        Path | None, typer.Option(help="report.json of the experiment that served the lists: predicted and measured.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the estimates to this JSON file.")] = None,
) -> None:
    """Estimate what recommendations are worth."""
    policy, tracks = _parse_logging_policy(logging_policy)
    found = find(logs)
    lists = [read_recommendations(text) for text in recommendations]
    rule = parse_holdout(holdout, lists[0].manifest)
    with (
        tempfile.TemporaryDirectory(prefix="offpolicy-") as folder,
        closing(queries.connect(temp_directory=Path(folder) / "spilled")) as connection,
    ):
        attach_events(connection, found, Path(folder))
        size = tracks or catalogue_size_of(found)
        sessions = read_sessions(connection, rule, logging_policy=policy, catalogue_size=size)
    scorer = OffPolicy(sessions)
    digests = digests_of(found) if any(one.manifest.is_file() for one in lists) else ()
    estimates = [_estimate(scorer, listed, serving, digests) for listed in lists]
    compared = predictions.compare(estimates, measured, LISTENING_TIME) if measured else []
    logged = _logged_value(scorer)
    if out:
        document = {
            "sources": found.names,
            "holdout": rule.text,
            "listeners": len(sessions.users),
            "sessions": sessions.sessions,
            "unknown": sessions.unknown,
            "unfollowed": sessions.unfollowed,
            "logged": logged,
            "recommendations": [estimate.document() for estimate in estimates],
        } | ({"predictions": compared} if compared else {})
        atomic_write_json(out, document)
    console = output()
    console.print(report.table(estimates, logged))
    for estimate in estimates:
        for reason in estimate.estimate.reasons:
            console.print(f"{estimate.name}: not conclusive: {reason}", soft_wrap=True)
    if compared:
        console.print(predictions.table(compared))


def _parse_logging_policy(text: str) -> tuple[LoggingPolicy, int | None]:
    """Return the logging policy and the number of tracks, None where the text has none."""
    kind, _, tracks = text.partition(":")
    for policy in get_args(LoggingPolicy):
        if kind == policy and (tracks.isdecimal() or not tracks):
            return policy, int(tracks) if tracks else None
    raise AnalysisError(f"logging policy {text}: allowed are {LOGGING_HELP}")


def _estimate(
    scorer: OffPolicy, lists: Recommendations, serving: Serving, digests: Sequence[str]
) -> report.ListEstimate:
    try:
        estimate = scorer.value_lists(lists.users, lists.tracks, serving=serving, scores=lists.scores)
    except AnalysisError as error:
        raise AnalysisError(f"{lists.file}: {error}") from None
    if learned_from(lists.manifest, digests):
        reason = "the lists were learned from all sessions of these very logs, held-out ones too"
        estimate = replace(estimate, reasons=(reason, *estimate.reasons))
    return report.ListEstimate(lists.name, str(lists.file), serving, estimate)


def _logged_value(scorer: OffPolicy) -> Interval:
    """Return what the logged recommendations were worth: the policy that logged them, every weight 1."""
    sessions = scorer.sessions
    return scorer.value(Policy(np.where(sessions.counted, sessions.propensity, 0.0), sessions.counted)).snips


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
