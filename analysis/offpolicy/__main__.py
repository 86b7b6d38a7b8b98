"""`python -m analysis.offpolicy`: what exported lists would be worth, from a log with known propensities.

In: event logs or a session store, and recommendations. Out: a table, and JSON with `--out`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from analysis import queries
from analysis.ab.source import Places, find
from analysis.errors import AnalysisError
from analysis.offpolicy import accuracy as foretold
from analysis.offpolicy.estimate import OffPolicy
from analysis.offpolicy.holdout import HELP, parse_holdout
from analysis.offpolicy.logged import LoggedSessions, LoggingPolicy, read_sessions
from analysis.offpolicy.policies import Serving, SessionAware
from analysis.offpolicy.recommendations import Recommendations, learned_from, read_recommendations
from analysis.offpolicy.report import Valued, describe_source, table, to_json
from analysis.offpolicy.result import Estimate
from analysis.offpolicy.sources import attach_events, catalogue_size_of, digests_of
from looplib.cli import make_app, run
from looplib.files import atomic_write
from looplib.progress import output

PROG = "python -m analysis.offpolicy"
LISTENING_TIME = "time_per_recommended_track"

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
    scores: Annotated[bool, typer.Option(help="Use a factors.npz beside the lists as reward model.")] = True,
    logging_policy: Annotated[
        LoggingPolicy, typer.Option(help="Where an event without propensity gets one: all tracks were equally likely.")
    ] = "logged",
    tracks: Annotated[
        int | None, typer.Option(min=1, help="Tracks of the catalogue, where no collection.json or store names them.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=2, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    measured: Annotated[
        Path | None, typer.Option(help="report.json of the experiment that served the lists: foretold and measured.")
    ] = None,
    metric: Annotated[str, typer.Option(help="The report's metric that was foretold.")] = LISTENING_TIME,
    out: Annotated[Path | None, typer.Option(help="Write the estimates to this JSON file.")] = None,
) -> None:
    """Value recommendations."""
    places = find(logs)
    lists = [read_recommendations(text, with_scores=scores) for text in recommendations]
    rule = parse_holdout(holdout, lists[0].manifest)
    with _events(places) as connection:
        size = tracks or catalogue_size_of(places)
        sessions = read_sessions(connection, rule, logging_policy=logging_policy, catalogue_size=size)
    judge = OffPolicy(sessions, resamples=resamples, seed=seed)
    digests = digests_of(places) if any(one.manifest.is_file() for one in lists) else ()
    valued = [_value(judge, one, serving, digests) for one in lists]
    rows = foretold.compare(valued, measured, metric) if measured else []
    facts = describe_source(places.names, str(rule), sessions, _logged_value(judge, sessions))
    if out:
        with atomic_write(out) as file:
            file.write(to_json(facts, valued, [asdict(row) for row in rows]))
    console = output()
    console.print(table(facts, valued))
    for one in valued:
        for reason in one.reasons:
            console.print(f"{one.name}: not conclusive: {reason}", soft_wrap=True)
    if rows:
        console.print(foretold.table(rows))


@contextmanager
def _events(places: Places) -> Iterator[queries.Connection]:
    """A connection with the table `events`."""
    with tempfile.TemporaryDirectory(prefix="offpolicy-") as folder:
        connection = queries.connect(temp_directory=Path(folder) / "spilled")
        attach_events(connection, places, Path(folder))
        try:
            yield connection
        finally:
            connection.close()


def _value(judge: OffPolicy, lists: Recommendations, serving: Serving, digests: Sequence[str]) -> Valued:
    try:
        estimate = judge.value_lists(lists.users, lists.tracks, serving=serving, scores=lists.scores)
    except AnalysisError as error:
        raise AnalysisError(f"{lists.file}: {error}") from None
    reasons = estimate.reasons
    if learned_from(lists.manifest, digests):
        reasons = ("the lists were learned from all sessions of these very logs, held-out ones too", *reasons)
    return Valued(lists.name, str(lists.file), serving, estimate, not reasons, reasons)


def _logged_value(judge: OffPolicy, sessions: LoggedSessions) -> Estimate:
    """What the logged recommendations were worth: the policy that logged them, every weight 1."""
    probability = sessions.propensity.copy()
    probability[~sessions.counted] = 0
    return judge.value(SessionAware(probability, sessions.counted)).snips


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
