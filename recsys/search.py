"""`python -m recsys.search`: the main job. Fits a grid of ALS models on a Dask cluster and publishes the best.

In: a session store and a configuration. Out: a run folder with the effective configuration, the ledger, the
leaderboard, the winner, and the export.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from common.cli import make_app, run
from common.config import dump_config, load_config
from common.files import atomic_write, atomic_write_text
from common.progress import console, progress
from recsys.cluster import Cluster, open_cluster
from recsys.config import SearchConfig
from recsys.dataset import Dataset, build_dataset, dataset_digest
from recsys.errors import SearchError
from recsys.export import MANIFEST, RECOMMENDATIONS, export_run
from recsys.fitting import BASELINES, Judge, Score, Scored, run_entry
from recsys.ledger import LEADERBOARD, LEDGER, Entry, Result, append_result, rank, write_leaderboard
from recsys.run import CONFIG, WINNER, Winner, begin_run
from recsys.store import open_store
from recsys.trials import Trial, plan_trials

PROG = "python -m recsys.search"
app = make_app("Fits a grid of ALS models on a Dask cluster, scores them on held-out sessions, and exports the best.")


@app.command(epilog="Example: python -m recsys.search --config configs/demo.yaml --set search.space.factors=[32,64]")
def main(
    config: Annotated[Path, typer.Option(help="The search's YAML, such as configs/demo.yaml.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value that wins over the file; repeatable.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Session store; wins over the file's.")] = None,
    run_folder: Annotated[Path | None, typer.Option("--run", help="Run folder; wins over the file's.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="An existing Dask scheduler, such as tcp://host:8786.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; an earlier run in the folder is kept beside it.")
    ] = False,
    export: Annotated[bool, typer.Option(help="Refit the winner on all sessions and publish it.")] = True,
) -> None:
    """Search, then export."""
    flags = {"store": store, "run": run_folder, "cluster.scheduler": scheduler}
    overrides = [*(set_ or []), *(f"{key}={value}" for key, value in flags.items() if value is not None)]
    settings = load_config(SearchConfig, config, overrides)
    search(settings, fresh=fresh)
    rows = {"leaderboard": settings.run / LEADERBOARD, "ledger": settings.run / LEDGER}
    if export:
        version = export_run(settings.run, settings.run / "export", settings.export)
        rows |= {"recommendations": version / RECOMMENDATIONS, "manifest": version / MANIFEST}
    for name, file in rows.items():
        typer.echo(f"{name:<16} {file}")
    typer.echo(
        f"Next: read the ledger; widen the grid ({PROG} --set search.space.factors=[64,128] --fresh …); "
        "ingest logs of your own (python -m recsys.ingest --help)"
    )


def search(config: SearchConfig, *, fresh: bool = False) -> Winner:
    """Runs a search and leaves its run folder.

    Args:
        config: What to do.
        fresh: Keep an earlier run of the folder under another name and start over, instead of refusing.

    Raises:
        UserError: The store, the split, the grid or the cluster does not allow it, or every trial failed.
    """
    store = open_store(config.store)
    trials = plan_trials(config.search, dataset_digest(store, config), config.seed)
    begin_run(config.run, fresh=fresh)
    atomic_write_text(config.run / CONFIG, dump_config(config))
    with open_cluster(config.cluster) as cluster:
        console.print(f"{cluster.workers} workers, dashboard {cluster.dashboard}", soft_wrap=True)
        with progress("Sessions to interactions", 100, "%") as report:
            dataset = build_dataset(store, config, cluster, report)
        _describe(dataset)
        results = _run_all(cluster, dataset, trials, config)
    ranked = rank(results, config.validation.select)
    write_leaderboard(config.run / LEADERBOARD, ranked)
    # Where the width is unknown (a pipe, a CI log) the table is not squeezed into 80 columns.
    output = Console()
    (output if output.is_terminal else Console(width=120)).print(leaderboard_table(ranked, config))
    winner = _winner(ranked, dataset, config)
    with atomic_write(config.run / WINNER) as file:
        file.write(orjson.dumps(winner, option=orjson.OPT_INDENT_2))
    return winner


def _describe(dataset: Dataset) -> None:
    facts = dataset.summary
    console.print(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, {facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, none of their events in training",
        soft_wrap=True,
    )


def _run_all(cluster: Cluster, dataset: Dataset, trials: Sequence[Trial], config: SearchConfig) -> list[Result]:
    entries: list[Entry] = [*trials, *BASELINES]
    judge = Judge(dataset.path, config.validation, config.seed, config.cluster.threads_per_fit)
    results: list[Result] = []
    with progress("Trials", len(entries), "done") as report:
        report(0)
        for result in _run_entries(cluster, entries, config.search.scored_sweeps, judge):
            append_result(config.run / LEDGER, result)
            results.append(result)
            report(len(results), _best_so_far(results, config.validation.select))
    return results


def _run_entries(cluster: Cluster, entries: Sequence[Entry], sweeps: tuple[int, ...], judge: Judge) -> Iterator[Result]:
    calls = [(entry, sweeps, judge) for entry in entries]
    for outcome in cluster.run(run_entry, calls):
        entry = entries[outcome.index]
        if outcome.value is not None:
            yield Result(entry, outcome.value)
        else:
            yield Result(entry, Scored((), f"{type(outcome.error).__name__}: {outcome.error}"))


def _best_so_far(results: Sequence[Result], select: str) -> str:
    result, score = rank(results, select)[0]
    return f"best {select} {score.metrics[select][0]:.4f} ({_name(result)})" if score else "none scored yet"


def _winner(ranked: Sequence[tuple[Result, Score | None]], dataset: Dataset, config: SearchConfig) -> Winner:
    """The best trial; a baseline has nothing to export, so it never wins, but a better one is pointed out."""
    for place, (result, score) in enumerate(ranked):
        if isinstance(result.entry, Trial) and score is not None:
            if place:
                console.print(
                    f"[bold]Warning:[/] the baseline {ranked[0][0].id} is better than every trial", soft_wrap=True
                )
            return Winner(
                trial=result.entry,
                sweeps=score.sweep,
                metrics=score.metrics,
                select=config.validation.select,
                dataset=dataset.summary.digest,
            )
    errors = {result.scored.error for result, _ in ranked if isinstance(result.entry, Trial)}
    raise SearchError(
        f"every trial failed ({'; '.join(sorted(str(error) for error in errors))}); see {config.run / LEDGER}"
    )


def leaderboard_table(ranked: Sequence[tuple[Result, Score | None]], config: SearchConfig) -> Table:
    """The leaderboard as it is printed: the choosing metric with its interval, and its fellows at the same k."""
    select = config.validation.select
    k = select.partition("@")[2]
    others = [key for key in (f"recall@{k}", f"coverage@{k}") if key != select]
    table = Table(title=f"Leaderboard by {select}, with its 95 % interval over listeners")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for heading in ("factors", "reg", "alpha", "sweep", select, "interval", *others, "fit s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, (result, score) in enumerate(ranked, start=1):
        params = result.entry.params if isinstance(result.entry, Trial) else None
        axes = [f"{params.factors}", f"{params.regularization:g}", f"{params.alpha:g}"] if params else [""] * 3
        if score is None:
            table.add_row(str(place), result.model, *axes, "", "failed")
            continue
        value, lower, upper = score.metrics[select]
        cells = [f"{score.metrics[key][0]:.4f}" for key in others]
        interval = f"{lower:.4f} .. {upper:.4f}"
        sweep = str(score.sweep) if score.sweep else ""
        table.add_row(str(place), result.model, *axes, sweep, f"{value:.4f}", interval, *cells, f"{score.fit_s:.1f}")
    return table


def _name(result: Result) -> str:
    if not isinstance(result.entry, Trial):
        return result.model
    params = result.entry.params
    return f"als factors {params.factors}, reg {params.regularization:g}, alpha {params.alpha:g}"


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
