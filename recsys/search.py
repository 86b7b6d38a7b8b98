"""`python -m recsys.search`: the main job. Fits a grid of ALS models on a Dask cluster and publishes the best.

In: a session store and a configuration. Out: a run folder with the effective configuration, the ledger, the
leaderboard, the winner, the report, and the export.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from common.cli import make_app, run
from common.config import dump_config, load_config
from common.files import atomic_write, atomic_write_text
from common.progress import console, output, progress
from recsys.block_search import run_steps_in_blocks
from recsys.cluster import Cluster, open_cluster
from recsys.config import OPE_TIME, SearchConfig
from recsys.dataset import Dataset, build_dataset, dataset_digest
from recsys.errors import SearchError
from recsys.export import MANIFEST, RECOMMENDATIONS, export_run
from recsys.fitting import CHECKPOINTS, read_listeners, run_step
from recsys.judging import Judge, check_judges
from recsys.leaderboard import WARNING, describe, leaderboard_table, remarks, warn_of, write_leaderboard
from recsys.mirror import forget_below, give
from recsys.places import place
from recsys.report.page import write_report
from recsys.report.titles import read_titles
from recsys.run import CONFIG, LEADERBOARD, LEDGER, REPORT, WINNER, Winner, taken_run
from recsys.sampling import sample_listeners
from recsys.schedule import points_of
from recsys.standings import Standing, compare, disagreement, every_sweep, simplest, standings_of
from recsys.store import MANIFEST as STORE_MANIFEST
from recsys.store import open_store
from recsys.trials import Candidate, Trial, plan_candidates
from recsys.work import Work

PROG = "python -m recsys.search"
app = make_app("Fits a grid of ALS models on a Dask cluster, scores them on held-out sessions, and exports the best.")


@app.command(epilog="Example: python -m recsys.search --config configs/demo.yaml --set search.space.factors=[32,64]")
def main(
    config: Annotated[Path, typer.Option(help="The search's YAML, such as configs/demo.yaml.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value that wins over the file; repeatable.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(parser=place, metavar="PATH", help="Session store; wins over the file's.")
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option("--run", parser=place, metavar="PATH", help="Run folder; wins over the file's.")
    ] = None,
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
    rows = {"leaderboard": settings.run / LEADERBOARD, "ledger": settings.run / LEDGER, "report": settings.run / REPORT}
    if export:
        version = export_run(settings.run, settings.run / "export", settings.export)
        rows |= {"recommendations": version / RECOMMENDATIONS, "manifest": version / MANIFEST}
    for name, file in rows.items():
        typer.echo(f"{name:<16} {file}")
    typer.echo(
        f"Next: open the report; widen the grid ({PROG} --set search.space.factors=[64,128] --fresh …); "
        "ingest logs of your own (python -m recsys.ingest --help)"
    )


def search(config: SearchConfig, *, fresh: bool = False) -> Winner:
    """Runs a search and leaves its run folder; one that was broken off goes on where it was.

    Args:
        config: What to do.
        fresh: Keep an earlier run of the folder under another name and start over, instead of going on with it.

    Raises:
        UserError: The store, the split, the grid or the cluster does not allow it, or every trial failed.
    """
    store = open_store(config.store)
    for catalogue in {config.catalogue, config.context.catalogue if config.context else None}:
        read_titles(catalogue, store)  # a wrong one is said now, not after the search
    candidates = plan_candidates(config.search, dataset_digest(store, config), config.seed)
    with taken_run(config.run, fresh=fresh) as lock:
        atomic_write_text(config.run / CONFIG, dump_config(config))
        give(config.run / CONFIG)
        with open_cluster(config.cluster, (store.path / STORE_MANIFEST,), (config.run,)) as cluster:
            with progress("Sessions to interactions", 100, "%") as report:
                dataset = build_dataset(store, config, cluster, report)
            _describe(dataset)
            judges = _judges(dataset, config)
            check_judges(judges.values(), store.catalogue.tracks if store.catalogue else None)
            work = Work(config, candidates, judges, lock)
            _run_steps(cluster, work, config)
        forget_below(config.run / CHECKPOINTS)
        winner = _conclude(config, candidates, work, judges[1])
        write_report(config.run)
        return winner


def _describe(dataset: Dataset) -> None:
    facts = dataset.summary
    console.print(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, {facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, none of their events in training",
        soft_wrap=True,
    )


def _judges(dataset: Dataset, config: SearchConfig) -> dict[float, Judge]:
    """Who judges fits on each share of the listeners that the search has points for."""
    whole = Judge(dataset.path.absolute(), config.validation, config.seed, config.cluster.threads_per_fit)
    shares = {point.listeners for point in points_of(config.search)}
    samples = {share: sample_listeners(dataset, share, config.seed) for share in shares if share < 1}
    return {1: whole} | {share: replace(whole, dataset=sample.path.absolute()) for share, sample in samples.items()}


def _run_steps(cluster: Cluster, work: Work, config: SearchConfig) -> None:
    with progress("Trials", work.total, "done") as report:
        report(work.done, "from the ledger" if work.done else "")
        outcomes = (
            run_steps_in_blocks(cluster, work.ready)
            if config.cluster.fit == "blocks"
            else cluster.run_ready(run_step, work.ready)
        )
        for outcome in outcomes:
            work.take(outcome)
            report(work.done, _best_so_far(work, config.validation.select))


def _best_so_far(work: Work, select: str) -> str:
    scored = (result for result in work.results.values() if result.scores and isinstance(result.entry, Trial))
    pairs = ((score.metrics[select][0], result) for result in scored for score in result.scores)
    value, result = max(pairs, key=lambda pair: pair[0], default=(0.0, None))
    return f"best {select} {value:.4f} ({describe(result)})" if result else ""


def _conclude(config: SearchConfig, candidates: Sequence[Candidate], work: Work, judge: Judge) -> Winner:
    """Ranks, compares and chooses; leaves the leaderboard and the winner."""
    metric = config.validation.select
    standings = standings_of(candidates, work.decisions.pruned, work.results, metric)
    best = next((row for row in standings if row.score and not row.is_baseline), None)
    if best is None:
        errors = sorted({row.why for row in standings if row.why})
        raise SearchError(f"every trial failed ({'; '.join(errors)}); see {config.run / LEDGER}")
    chosen = best
    if config.validation.select_is_of_listeners:
        listeners = partial(read_listeners, config.run, judge, metric)
        compared = partial(
            compare, best=best, listeners=listeners, resamples=config.validation.resamples, seed=config.seed
        )
        standings = compared(standings)
        if config.search.select == "one_standard_error":
            sweeps = [each for row in standings if not row.is_baseline for each in every_sweep(row)]
            chosen = simplest(compared(sweeps), metric)
    write_leaderboard(config.run / LEADERBOARD, standings)
    give(config.run / LEADERBOARD)
    output().print(leaderboard_table(standings, metric))
    said = [*remarks(standings, chosen, metric), *_disagreements(config, candidates, work, judge, best)]
    for remark in said:
        style = "bold" if remark.startswith(WARNING) else None
        console.print(remark, soft_wrap=True, markup=False, style=style)
    winner = replace(_winner(chosen, metric, judge.dataset.name), remarks=tuple(said))
    with atomic_write(config.run / WINNER) as file:
        file.write(orjson.dumps(winner, option=orjson.OPT_INDENT_2))
    give(config.run / WINNER)
    return winner


def _disagreements(
    config: SearchConfig, candidates: Sequence[Candidate], work: Work, judge: Judge, best: Standing
) -> list[str]:
    """A warning where the ranking metric and the listening time would choose differently, and that is not chance."""
    metric, rival = config.validation.select, config.validation.rival
    if best.score is None or rival not in best.score.metrics:
        return []
    time = next(key for key in (metric, rival) if key.startswith(OPE_TIME))
    found = disagreement(
        best,
        standings_of(candidates, work.decisions.pruned, work.results, rival),
        partial(read_listeners, config.run, judge, time),
        config.validation.resamples,
        config.seed,
    )
    warning = warn_of(found, best, metric, rival) if found else None
    return [warning] if warning else []


def _winner(chosen: Standing, metric: str, dataset: str) -> Winner:
    trial, score = chosen.first.entry, chosen.score
    if not isinstance(trial, Trial) or score is None:
        raise TypeError(f"{chosen} cannot be published")
    return Winner(trial=trial, sweeps=score.point.sweep, metrics=score.metrics, select=metric, dataset=dataset)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
