"""Run a search: plan the trials, run their steps on the cluster, record, decide, conclude."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from analysis.store import MANIFEST as STORE_MANIFEST
from looplib.checksums import seal
from looplib.config import dump_config
from looplib.files import atomic_write_json, atomic_write_text
from looplib.progress import console, output, progress
from recsys.cluster.cluster import Client, Cluster, open_cluster
from recsys.cluster.retry import Outcome
from recsys.config import OPE_TIME, Search, SearchConfig
from recsys.dataset.build import build_dataset, plan_dataset
from recsys.dataset.dataset import LARGEST_MATRIX, TOO_LARGE, Dataset
from recsys.errors import SearchError, TrialError, WorkerDiedError
from recsys.models.kinds import KINDS, Popular
from recsys.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    DASHBOARD,
    LEADERBOARD,
    LEDGER,
    LISTS,
    NO_BETTER,
    WINNER,
    Winner,
    locked_run,
    read_listeners,
    read_validation,
)
from recsys.runs.leaderboard import (
    WARNING,
    describe,
    leaderboard_table,
    remarks,
    warn_of_rival,
    write_leaderboard,
)
from recsys.runs.ledger import Score, score_after
from recsys.runs.ranking import Compare, Row, compare, scored_candidates, simplest
from recsys.runs.trials import plan_candidates
from recsys.scoring import Scorer, settle
from recsys.search.fit_step import fit_in_blocks, run_step
from recsys.search.state import SearchState
from recsys.store.ids import Title, originals, read_titles
from recsys.store.remote import Store
from recsys.workspace import Workspace

# what every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.rank_kernels", "pandas")
_SAMPLED = 10_000_000  # values of which quantiles are taken
_MAGNITUDES = (
    100  # the largest weights over the smallest, from which on a logarithm is proposed
)


def search(
    store: Store,
    run: Workspace,
    config: SearchConfig,
    *,
    fresh: bool = False,
    client: Client | None = None,
) -> Winner:
    """Run a search and leave its run folder; one that was interrupted goes on where it was.

    Args:
        store: What is learned from.
        run: The run's folder.
        config: What to do; the addresses in it are those of the store and the run.
        fresh: Keep an earlier run of the folder under another name and start over, instead of going
            on with it.
        client: A Dask client, on whose workers to run instead of where the configuration says; it
            stays open.

    Raises:
        UserError: The store, the split, the grid or the cluster does not allow it, or every trial
            failed.
    """
    plan = plan_dataset(store, config)
    titles = read_titles(config.catalogue, store)
    if (
        config.session_model
        and config.export.learn_from != "training"
        and config.session_model.catalogue != config.catalogue
    ):
        read_titles(config.session_model.catalogue, store)
    candidates = plan_candidates(config.search, plan.digest, config.seed)
    with locked_run(run, fresh=fresh) as lock:
        earlier = read_validation(run)
        _keep(config, run)
        read = [folder / STORE_MANIFEST for folder in store.workspace.on_disk]
        with open_cluster(
            config.cluster, read, run.on_disk, client, _IMPORTED
        ) as cluster:
            with progress("Sessions to interactions", 100, "%") as report:
                dataset = build_dataset(store, plan, run, cluster, report)
            facts = dataset.summary
            console.print(
                f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, "
                f"{facts.interactions:,} training interactions; {facts.heldout_sessions:,} of {facts.sessions:,} "
                "sessions held out, none of their events in training",
                soft_wrap=True,
            )
            for warning in _check_dataset(config, store, dataset, titles):
                console.print(warning, soft_wrap=True, markup=False, style="bold")
            scorer = Scorer(
                dataset.address,
                config.validation,
                config.seed,
                config.cluster.threads_per_fit,
            )
            scorer = settle(scorer, store.catalogue_size, earlier)
            _keep(config.model_copy(update={"validation": scorer.validation}), run)
            state = SearchState(config.search, candidates, scorer, lock)
            for damage in state.ledger.damaged:
                console.print(
                    f"{run}/{LEDGER}, {damage}; its step is run again",
                    soft_wrap=True,
                    markup=False,
                )
            _run_steps(cluster, state, in_blocks=config.cluster.fit == "blocks")
            winner = _conclude(cluster, state, config.search)
        run.delete(CHECKPOINTS, LISTS, DASHBOARD)
        return winner


def _keep(config: SearchConfig, run: Workspace) -> None:
    with run.write(CONFIG) as file:
        file.write(dump_config(config).encode())


def _check_dataset(
    config: SearchConfig, store: Store, dataset: Dataset, titles: Mapping[str, Title]
) -> list[str]:
    """Return warnings about settings that do not fit the data.

    Raises:
        SearchError: The session model has nothing to learn from, the catalogue names other tracks,
            or there are more interactions than a fit on one worker takes.
    """
    if (
        config.session_model is not None
        and max(dataset.session_lengths(), default=1) < 2
    ):
        raise SearchError(
            f"session_model learns from recommended tracks, and {store.workspace} has none; leave it out: --set session_model=null"
        )
    if config.catalogue is not None and not store.manifest.catalogue:
        tracks = originals(store, "items", dataset.tracks).tolist()
        named = sum(str(track) in titles for track in tracks)
        if 2 * named < len(tracks):
            raise SearchError(
                f"{config.catalogue}: names {named:,} of the {len(tracks):,} tracks of {store.workspace}, so it "
                "belongs to another store; leave it out: --set catalogue=null"
            )
    warnings = []
    if (shown := config.export.filter_seen) != (
        scored := config.validation.filter_seen
    ):
        warnings.append(
            f"{WARNING} validation.filter_seen is {str(scored).lower()} and export.filter_seen {str(shown).lower()}: "
            "the lists that are published are not those that are scored"
        )
    interactions = int(dataset.counts("total").sum())
    if config.cluster.fit != "blocks" and interactions > LARGEST_MATRIX:
        raise SearchError(f"{interactions:,} interactions; {TOO_LARGE}")
    values = dataset.array("train", "values")
    least, median, most = np.quantile(
        values[:: 1 + len(values) // _SAMPLED], [0.01, 0.5, 0.99]
    )
    is_linear = (
        store.manifest.interactions is not None and config.feedback.scale == "linear"
    )
    if is_linear and most >= _MAGNITUDES * least:
        warnings.append(
            f"{WARNING} the weights span orders of magnitude, {least:g} … {most:g} with the median {median:g}; try "
            "--set feedback.scale=log, which counts a sum r as log(1 + r)"
        )
    return warnings


def _run_steps(cluster: Cluster, state: SearchState, *, in_blocks: bool) -> None:
    """Run all steps, each recorded before the next decision."""
    with progress("Trials", state.sweeps, "sweeps", state.done) as report:
        report(state.done, "from the ledger" if state.done else "")
        outcomes = (
            _run_in_blocks(cluster, state)
            if in_blocks
            else cluster.run_ready(run_step, state.ready)
        )
        for number, outcome in enumerate(outcomes):
            if not number:
                atomic_write_text(state.run.folder / DASHBOARD, cluster.dashboard)
            state.record(outcome)
            best = next(iter(scored_candidates(state.rank(state.metric))), None)
            value = (
                f"best {state.metric} {best.value(state.metric):.4f} ({describe(best.trial)})"
                if best
                else ""
            )
            report(state.done, value)


def _run_in_blocks(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run one step after the other, whose fit runs across all workers."""
    while calls := state.ready():
        call = calls[0]
        trial, _ = call.key
        try:
            if KINDS[trial.kind].in_blocks:
                fit_in_blocks(cluster, *call.arguments[:4])
        except (TrialError, WorkerDiedError) as error:
            yield Outcome(call.key, None, error)
            continue
        for outcome in cluster.run(run_step, [call.arguments]):
            yield Outcome(call.key, outcome.value, outcome.error)


def _score_wholly(cluster: Cluster, state: SearchState, rows: Sequence[Row]) -> None:
    if calls := state.partly_scored(rows):
        with progress("Finalists", len(calls), "fits") as report:
            for done, outcome in enumerate(
                cluster.run_ready(run_step, partial(state.partly_scored, rows)), start=1
            ):
                state.record(outcome)
                report(done, "every metric")


def _score_on_test(cluster: Cluster, state: SearchState, chosen: Row) -> Row:
    """Score what was chosen by every metric on the listeners who chose nothing, once."""
    if not chosen.score or chosen.score.test or not state.scorer.validation.test_share:
        return chosen
    step = (chosen.trial, chosen.sweep)
    (outcome,) = cluster.run(
        run_step,
        [(*step, replace(state.scorer, is_test=True), state.run.address, True)],
    )
    score = replace(chosen.score, test=outcome.result().metrics)
    state.record(Outcome(step, score, None))
    return replace(chosen, score=score)


def _finalists(state: SearchState) -> list[Row]:
    """Return the candidates that are left at the end, and the best."""
    ranking = state.rank(state.metric)
    if not (candidates := scored_candidates(ranking)):
        errors = sorted({row.stop.reason for row in ranking if row.stop})
        raise SearchError(
            f"every trial failed ({'; '.join(errors)}); see {state.run}/{LEDGER}"
        )
    return [row for row in candidates if row.state != "pruned" or row is candidates[0]]


def _conclude(cluster: Cluster, state: SearchState, search: Search) -> Winner:
    """Rank, compare and choose; leave the leaderboard and the winner."""
    run, scorer = state.run, state.scorer
    validation = scorer.validation
    metric, other = validation.select, validation.rival
    _score_wholly(cluster, state, _finalists(state))
    best = chosen = _finalists(state)[0]
    ranking = state.rank(metric)
    compare_by_metric = _compare_by(metric, run, scorer)
    beats_popular = None
    if validation.select_is_of_listeners:
        ranking = compare_by_metric(ranking, best)
        if search.select == "simplest_tied":
            chosen = simplest(ranking, best, compare_by_metric)
            _score_wholly(cluster, state, [chosen])
            chosen = replace(
                chosen,
                score=score_after(state.ledger.scores[chosen.trial.id], chosen.sweep),
            )
        popular = [
            row for row in ranking if row.trial.kind == Popular.name and row.score
        ]
        beats_popular = not any(
            row.ties for row in compare_by_metric([chosen, *popular], chosen)[1:]
        )
    chosen = _score_on_test(cluster, state, chosen)
    write_leaderboard(run.folder / LEADERBOARD, ranking)
    run.upload(LEADERBOARD)
    output().print(leaderboard_table(ranking, metric))
    score = chosen.score or Score(chosen.sweep)
    found = remarks(ranking, chosen, metric, search)
    if beats_popular is False:
        found.append(
            f"{WARNING} {NO_BETTER}, so it is not published without export.publish_anyway: true"
        )
    if other in score.metrics:
        time = metric if metric.startswith(OPE_TIME) else other
        found += warn_of_rival(
            best, state.rank(other), _compare_by(time, run, scorer), (metric, other)
        )
    for remark in found:
        style = "bold" if remark.startswith(WARNING) else None
        console.print(remark, soft_wrap=True, markup=False, style=style)
    dataset = scorer.dataset.rpartition("/")[2]
    winner = Winner(
        chosen.trial,
        chosen.sweep,
        score.metrics,
        metric,
        dataset,
        tuple(found),
        beats_popular,
        score.test,
    )
    atomic_write_json(run.folder / WINNER, seal(winner))
    run.upload(WINNER)
    return winner


def _compare_by(metric: str, run: Workspace, scorer: Scorer) -> Compare:
    """Return what compares rows by a metric, over the listeners of the scorer."""
    listeners = partial(read_listeners, run, scorer, metric)
    return partial(
        compare,
        listeners=listeners,
        resamples=scorer.validation.resamples,
        seed=scorer.seed,
    )
