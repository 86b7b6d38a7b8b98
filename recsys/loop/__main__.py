"""`python -m recsys.loop --config configs/loop/demo.yaml --days 3`: the closed loop, a day after another."""

from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import Overrides, make_app, run
from looplib.config import dump_config, load_config
from looplib.files import atomic_write_json, atomic_write_text
from looplib.progress import output
from recsys.errors import LoopError
from recsys.loop.config import LoopConfig, Paths
from recsys.loop.days import collect, run_day
from recsys.loop.outcome import Outcome, print_outcomes, read_outcome
from recsys.loop.processes import lab_step, lock_folder, service_step

PROG = "python -m recsys.loop"
app = make_app(
    "Listen, learn, publish, serve, experiment, report, day after day; an interrupted loop continues where it was."
)


@app.command(
    epilog="Example: python -m recsys.loop --config configs/loop/demo.yaml --days 3"
)
def main(
    config: Annotated[
        Path, typer.Option(help="The loop's YAML, such as configs/loop/demo.yaml.")
    ],
    days: Annotated[
        int | None, typer.Option(min=1, help="How many days; wins over the file's.")
    ] = None,
    set_: Overrides = None,
) -> None:
    """Run the loop; an interrupted one continues where it was."""
    settings = load_config(LoopConfig, config, set_ or [], {"days": days})
    paths = run_loop(settings)
    service = service_step(
        settings.service, paths.catalogue, paths.published, paths.service, 5001
    )
    typer.echo(f"serve it    {service.line}")
    typer.echo(
        f"look at it  {lab_step(settings.folder, paths, 'http://127.0.0.1:5001', 8040).line}"
    )


def run_loop(settings: LoopConfig) -> Paths:
    """Run all days of a loop that are not done yet, and print the outcome.

    Returns:
        The paths of the last day.

    Raises:
        LoopError: Another loop runs in the folder, or began there with other settings; or a step
            failed.
    """
    outcomes: list[Outcome] = []
    with lock_folder(settings.folder):
        paths = Paths(settings.folder)
        _keep_config(settings, paths.config)
        collect(settings, paths)
        for number in range(1, settings.days + 1):
            paths = Paths(settings.folder, number)
            run_day(settings, paths)
            outcomes.append(read_outcome(paths))
            atomic_write_json(paths.outcome, outcomes)
    typer.echo()
    print_outcomes(outcomes, output())
    typer.echo(f"\nexperiment  {paths.report_page}")
    typer.echo(f"search      {paths.search_page}")
    typer.echo(f"lists       {paths.recommendations}")
    typer.echo(f"figures     {paths.outcome}")
    return paths


def _keep_config(settings: LoopConfig, file: Path) -> None:
    """Write the effective configuration; refuse one that differs from the folder's in more than the number of days."""
    if file.exists():
        now, before = (
            config.model_dump(exclude={"days"})
            for config in (settings, load_config(LoopConfig, file))
        )
        if changed := [key for key, value in now.items() if value != before[key]]:
            raise LoopError(
                f"{file}: this loop began with another {', '.join(changed)}; name another folder"
            )
    atomic_write_text(file, dump_config(settings))


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
