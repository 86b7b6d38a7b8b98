"""`python -m analysis.power`: how many listeners and days an experiment takes, from a log of the same listeners."""

from typing import Annotated

import typer

from analysis.planning.listener_days import Logs, MetricName, OutFile, answer, parse_effect, read_listener_days
from analysis.planning.power import describe, plan
from analysis.statistics.power import Design
from looplib.cli import make_app, run

PROG = "python -m analysis.power"

app = make_app("How many listeners and days an experiment needs to find an effect, from a log of the same listeners.")


@app.command(epilog="Example: python -m analysis.power out/demo/log --effect 5% --metric mean_time_per_session")
def main(
    logs: Logs,
    effect: Annotated[str, typer.Option(help="The relative effect that must not be missed, such as 5%.")],
    metric: MetricName = "mean_time_per_session",
    power: Annotated[float, typer.Option(help="Chance of finding the effect when it is there.")] = 0.8,
    ratio: Annotated[float, typer.Option(help="Listeners of the arm for each one of the control.")] = 1.0,
    share: Annotated[float, typer.Option(help="Share of all listeners who are in the experiment, 0 to 1.")] = 1.0,
    out: OutFile = None,
) -> None:
    """Plan an experiment that tests at the 5 % level."""
    relative, design = parse_effect(effect), Design(power=power, ratio=ratio)
    planned = plan(read_listener_days(logs, metric), relative, design, share)
    answer(planned, describe(planned), out)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
