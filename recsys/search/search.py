"""Run a search: plan the trials, run their steps on the cluster, record, decide, conclude."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import orjson

from analysis.store import MANIFEST as STORE_MANIFEST
from looplib.config import dump_config
from looplib.files import atomic_write, atomic_write_text
from looplib.progress import console, output, progress
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.config import OPE_TIME, SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset, dataset_digest
from recsys.dataset.sample import sample_listeners
from recsys.errors import SearchError
from recsys.report.page import write_report
from recsys.report.titles import read_titles
from recsys.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    LEADERBOARD,
    LEDGER,
    WINNER,
    Winner,
    locked_run,
    read_listeners,
)
from recsys.runs.leaderboard import WARNING, describe, leaderboard_table, remarks, warn_of, write_leaderboard
from recsys.runs.ranking import Ranked, compare, disagreement, every_sweep, rank, simplest
from recsys.runs.trials import Candidate, Trial, plan_candidates
from recsys.scoring.scorer import Scorer, check_scorers
from recsys.search.blockwise_step import run_steps_in_blocks
from recsys.search.fit_step import run_step
from recsys.search.schedule import checkpoints_of
from recsys.search.state import SearchState
from recsys.store.remote import open_store
from recsys.workspace import Workspace, open_workspace


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
    run = open_workspace(config.run)
    with locked_run(run, fresh=fresh) as lock:
        atomic_write_text(run.folder / CONFIG, dump_config(config))
        run.upload(CONFIG)
        read = [folder / STORE_MANIFEST for folder in store.workspace.on_disk]
        with open_cluster(config.cluster, read, run.on_disk) as cluster:
            with progress("Sessions to interactions", 100, "%") as report:
                dataset = build_dataset(store, config, cluster, report)
            _describe(dataset)
            scorers = _scorers(dataset, config)
            check_scorers(scorers.values(), store.catalogue.tracks if store.catalogue else None)
            work = SearchState(config, candidates, scorers, lock)
            _run_steps(cluster, work, config)
        run.sub(CHECKPOINTS).delete_all()
        winner = _conclude(run, config, candidates, work, scorers[1])
        write_report(config.run)
        return winner


def _describe(dataset: Dataset) -> None:
    facts = dataset.summary
    console.print(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, {facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, none of their events in training",
        soft_wrap=True,
    )


def _scorers(dataset: Dataset, config: SearchConfig) -> dict[float, Scorer]:
    """Who scorers fits on each share of the listeners that the search has points for."""
    whole = Scorer(dataset.address, config.validation, config.seed, config.cluster.threads_per_fit)
    shares = {point.listeners for point in checkpoints_of(config.search)}
    samples = {share: sample_listeners(dataset, share, config.seed) for share in shares if share < 1}
    return {1: whole} | {share: replace(whole, dataset=sample.address) for share, sample in samples.items()}


def _run_steps(cluster: Cluster, work: SearchState, config: SearchConfig) -> None:
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


def _best_so_far(work: SearchState, select: str) -> str:
    scored = (result for result in work.results.values() if result.scores and isinstance(result.entry, Trial))
    pairs = ((score.metrics[select][0], result) for result in scored for score in result.scores)
    value, result = max(pairs, key=lambda pair: pair[0], default=(0.0, None))
    return f"best {select} {value:.4f} ({describe(result)})" if result else ""


def _conclude(
    run: Workspace, config: SearchConfig, candidates: Sequence[Candidate], work: SearchState, scorer: Scorer
) -> Winner:
    """Ranks, compares and chooses; leaves the leaderboard and the winner."""
    metric = config.validation.select
    ranking = rank(candidates, work.decisions.pruned, work.results, metric)
    best = next((row for row in ranking if row.score and not row.is_baseline), None)
    if best is None:
        errors = sorted({row.why for row in ranking if row.why})
        raise SearchError(f"every trial failed ({'; '.join(errors)}); see {config.run}/{LEDGER}")
    chosen = best
    if config.validation.select_is_of_listeners:
        listeners = partial(read_listeners, run, scorer, metric)
        compared = partial(
            compare, best=best, listeners=listeners, resamples=config.validation.resamples, seed=config.seed
        )
        ranking = compared(ranking)
        if config.search.select == "one_standard_error":
            sweeps = [each for row in ranking if not row.is_baseline for each in every_sweep(row)]
            chosen = simplest(compared(sweeps), metric)
    write_leaderboard(run.folder / LEADERBOARD, ranking)
    run.upload(LEADERBOARD)
    output().print(leaderboard_table(ranking, metric))
    said = [*remarks(ranking, chosen, metric), *_disagreements(run, config, candidates, work, scorer, best)]
    for remark in said:
        style = "bold" if remark.startswith(WARNING) else None
        console.print(remark, soft_wrap=True, markup=False, style=style)
    winner = replace(_winner(chosen, metric, scorer.dataset.rpartition("/")[2]), remarks=tuple(said))
    with atomic_write(run.folder / WINNER) as file:
        file.write(orjson.dumps(winner, option=orjson.OPT_INDENT_2))
    run.upload(WINNER)
    return winner


def _disagreements(
    run: Workspace,
    config: SearchConfig,
    candidates: Sequence[Candidate],
    work: SearchState,
    scorer: Scorer,
    best: Ranked,
) -> list[str]:
    """A warning where the ranking metric and the listening time would choose differently, and that is not chance."""
    metric, rival = config.validation.select, config.validation.rival
    if best.score is None or rival not in best.score.metrics:
        return []
    time = next(key for key in (metric, rival) if key.startswith(OPE_TIME))
    found = disagreement(
        best,
        rank(candidates, work.decisions.pruned, work.results, rival),
        partial(read_listeners, run, scorer, time),
        config.validation.resamples,
        config.seed,
    )
    warning = warn_of(found, best, metric, rival) if found else None
    return [warning] if warning else []


def _winner(chosen: Ranked, metric: str, dataset: str) -> Winner:
    trial, score = chosen.first.entry, chosen.score
    if not isinstance(trial, Trial) or score is None:
        raise TypeError(f"{chosen} cannot be published")
    return Winner(trial=trial, sweeps=score.point.sweep, metrics=score.metrics, select=metric, dataset=dataset)
