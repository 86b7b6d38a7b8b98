"""`python -m analysis.aa`: false positives and coverage of the statistics on the listeners of a real log."""

from typing import Annotated

import typer

from analysis.planning.aa import check, describe
from analysis.planning.listener_days import Logs, MetricName, OutFile, answer, parse_effect, read_listener_days
from looplib.cli import make_app, run

PROG = "python -m analysis.aa"

app = make_app(
    "Splits a log's listeners into two equal arms many times, and reports how often that looks like an effect."
)


@app.command(
    epilog="Example: python -m analysis.aa out/demo/log --runs 1000 --metric mean_time_per_session --effect 3%"
)
def main(
    logs: Logs,
    runs: Annotated[int, typer.Option(min=1, help="How often to split.")] = 1000,
    metric: MetricName = "mean_time_per_session",
    effect: Annotated[str, typer.Option(help="The effect that is injected for the coverage, such as 3%.")] = "3%",
    scheduler: Annotated[str | None, typer.Option(help="An existing Dask scheduler, such as tcp://host:8786.")] = None,
    out: OutFile = None,
) -> None:
    """Split and compare."""
    injected = parse_effect(effect)
    report = check(read_listener_days(logs, metric), runs=runs, effect=injected, scheduler=scheduler)
    answer(report, describe(report), out)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
