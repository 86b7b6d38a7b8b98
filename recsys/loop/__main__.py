"""`python -m recsys.loop --config configs/loop/demo.yaml --days 3`: the closed loop, a day after another."""

from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_write_json, atomic_write_text
from looplib.progress import console, output
from recsys.errors import LoopError
from recsys.loop.config import DayPaths, LoopConfig, Paths
from recsys.loop.days import collect, recommenders_of, run_day
from recsys.loop.outcome import Outcome, print_outcomes, read_outcome
from recsys.loop.processes import lock_folder, service_step

PROG = "python -m recsys.loop"
app = make_app("Listen, learn, publish, serve, experiment, report: the whole loop, a day after another.")


@app.command(epilog="Example: python -m recsys.loop --config configs/loop/demo.yaml --days 3")
def main(
    config: Annotated[Path, typer.Option(help="The loop's YAML, such as configs/loop/demo.yaml.")],
    days: Annotated[int | None, typer.Option(min=1, help="How many days; wins over the file's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
) -> None:
    """Run the loop; an interrupted one continues where it was."""
    settings = load_config(LoopConfig, config, set_ or [], {"days": days})
    paths = Paths(settings.folder)
    outcomes: list[Outcome] = []
    with lock_folder(settings.folder):
        _keep_config(settings, paths.config)
        recommenders = recommenders_of(settings)
        collect(settings, paths)
        for number in range(1, settings.days + 1):
            day = DayPaths(paths, number)
            run_day(settings, paths, day)
            outcomes.append(read_outcome(day, recommenders))
            atomic_write_json(paths.outcome, outcomes)
    print_outcomes(outcomes, output())
    console.print(f"[bold]{outcomes[-1].decision}[/]: {outcomes[-1].reason}", soft_wrap=True, highlight=False)
    for name, file in {
        "report": day.report / "report.html",
        "leaderboard": day.run / "leaderboard.parquet",
        "recommendations": paths.recommendations,
        "event log": day.log,
        "outcome": paths.outcome,
    }.items():
        typer.echo(f"{name:<16} {file}")
    step = service_step(settings.service, paths.catalogue, paths.published, settings.folder / "service", 5001)
    typer.echo(f"Keep serving:    {step.line}")
    typer.echo(f"Look around:     python -m recsys.lab --root {settings.folder} --published {paths.published}")


def _keep_config(settings: LoopConfig, file: Path) -> None:
    """Write the effective configuration; refuse one that differs from the folder's in more than the number of days."""
    if file.exists():
        now, before = (config.model_dump(exclude={"days"}) for config in (settings, load_config(LoopConfig, file)))
        if changed := [key for key, value in now.items() if value != before[key]]:
            raise LoopError(f"{file}: this loop began with another {', '.join(changed)}; name another folder")
    atomic_write_text(file, dump_config(settings))


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
