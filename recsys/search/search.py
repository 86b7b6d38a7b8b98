"""Run a search: plan, run steps on the cluster, record each, and choose the winner.

The finalists are scored by every metric.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from analysis.store import MANIFEST, Store
from looplib.config import dump_config
from looplib.progress import WARNING, progress, say
from recsys.blockwise import SMALLEST_S, block_bytes, is_cut
from recsys.cluster.cluster import Client, Cluster, Job
from recsys.cluster.processes import is_small
from recsys.config import SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.interactions import warn_without_categories
from recsys.errors import SearchError
from recsys.models.external import External
from recsys.models.registry import MODELS
from recsys.models.trial import CHECKPOINTS, Checkpoint, Trial
from recsys.run import (
    LEDGER,
    PENDING,
    Winner,
    locked_run,
)
from recsys.search.evaluation import (
    Evaluation,
    resolve_split,
)
from recsys.search.leaderboard import (
    describe,
)
from recsys.search.ledger import Score
from recsys.search.state import SearchState
from recsys.search.step import plan_step, run_step
from recsys.search.trials import SearchPlan, plan_search
from recsys.search.winner import choose_winner, finalists
from recsys.storage import Workspace, open_workspace

# modules that every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.kernels.ranking", "pandas")
_NAMED = 3  # trials that the progress names
_PROCESS = 300 * 2**20  # bytes of a worker that has imported everything
_GIB = 2**30


def search(
    store: Store,
    run: Workspace,
    config: SearchConfig,
    *,
    client: Client | None = None,
    report: Path | None = None,
) -> Winner:
    """Run a search and leave its run folder; an interrupted search goes on where it stopped.

    Args:
        store: The store to learn from.
        run: The run's folder.
        config: The configuration; its addresses are the store's and the run's.
        client: A Dask client whose workers run the search, whatever the configuration says; it
            stays open.
        report: The file of Dask's performance report, if wanted.

    Raises:
        UserError: The store, the split, the models or the cluster does not allow it, or every
            trial failed.
    """
    plan = plan_search(store, config)
    # every worker must see the manifest of the store and the configuration of the run
    stores = open_workspace(store.address).on_disk
    seen = [folder / MANIFEST for folder in stores]
    seen += [folder / PENDING for folder in run.on_disk]
    # another library may hang or crash, which a worker process survives
    is_foreign = any(
        issubclass(trial.model_type, External) for trial in plan.candidates
    )
    is_guarded = is_foreign or config.search.trial_minutes or report
    is_here = not is_guarded and is_small(config.cluster, store.manifest.events)
    with (
        Cluster(config.cluster, seen, client, _IMPORTED, report, is_here) as cluster,
        locked_run(run) as lock,
    ):
        _write_config(run, config)  # workers look for it
        evaluation = _prepare_data(store, plan, run, cluster)
        dataset = open_dataset(evaluation.dataset)
        check_memory(cluster, plan.candidates, dataset)
        decided = {"validation": evaluation.validation}
        _write_config(run, config.model_copy(update=decided))
        if not plan.dataset.rule.is_ordered:
            kinds = ", ".join(name for name, kind in MODELS.items() if kind.needs_order)
            say(
                f"left out, as the rows of {store} have no order: {kinds}; "
                "ingest them with timestamp= or position= to try these"
            )
        state = SearchState(plan, evaluation, lock)
        for damage in state.ledger.damaged:
            say(f"{run}/{LEDGER}, {damage}; its step is run again")
        _run_steps(cluster, state)
        _score_finalists(cluster, state)
        winner = choose_winner(state, store)
        run.delete(CHECKPOINTS, PENDING)
        cluster.say_use()
        return winner


def _write_config(run: Workspace, config: SearchConfig) -> None:
    with run.create(PENDING) as file:
        file.write(dump_config(config).encode())


def _prepare_data(
    store: Store, plan: SearchPlan, run: Workspace, cluster: Cluster
) -> Evaluation:
    """Build the dataset, with the lists of other models beside it, and split its listeners."""
    with progress("Sessions to interactions", 100, "%") as report:
        dataset = cached_dataset(store, plan.dataset, run, cluster, report)
    summary = dataset.summary
    say(
        f"{summary.listeners:,} listeners, {summary.tracks:,} tracks, "
        f"{summary.interactions:,} training interactions; "
        f"{summary.heldout_sessions:,} of {summary.sessions:,} sessions held out, "
        "none of their events in training"
    )
    config = plan.config
    shown = config.export.filter_seen
    if shown != config.validation.filter_seen:
        say(
            f"{WARNING} validation.filter_seen is {str(not shown).lower()} and "
            f"export.filter_seen {str(shown).lower()}: "
            "the lists that are published are not those that are scored"
        )
    rerank = config.export.rerank
    warn_without_categories(rerank, dataset)
    evaluation = Evaluation(dataset.address, config.validation, config.seed, rerank)
    return resolve_split(evaluation)


def check_memory(cluster: Cluster, trials: Iterable[Trial], dataset: Dataset) -> None:
    """Check that a worker has the memory that each trial is estimated to need.

    Raises:
        SearchError: A trial fits no worker.
    """
    limit = cluster.memory_limit()
    if not limit:
        return
    summary = dataset.summary
    for trial in trials:
        model_type, config = trial.model_type, trial.config
        needed = _PROCESS + model_type.estimate_bytes(config, summary)
        hints = ["larger workers"]
        if model_type.in_blocks:
            cut = _PROCESS + block_bytes(summary, config, cluster.slots())
            if is_cut(cluster.config, trial, dataset, "training"):
                needed = cut
            elif cut <= limit and cluster.config.fit == "whole":
                hints.insert(0, f"cluster.fit: blocks ({cut / _GIB:.1f} GiB)")
        if needed <= limit:
            continue
        if model_type.has_factors:
            none = config.model_copy(update={"factors": 0})
            rest = _PROCESS + model_type.estimate_bytes(none, summary)
            fewer = (limit - rest) * config.factors // (needed - rest)
            if fewer > 0:
                hints.insert(0, f"at most {fewer:.0f} factors")
        raise SearchError(
            f"{describe(trial)} needs about {needed / _GIB:.1f} GiB on a worker, and the largest "
            f"has {limit / _GIB:.1f} GiB; these fit: {', '.join(hints)}"
        )


def _run_steps(cluster: Cluster, state: SearchState) -> None:
    """Run all steps, each recorded before the next decision."""
    done, total = state.count_steps()
    if cluster.config.fit == "blocks":
        trials = state.plan.candidates
        dataset = open_dataset(state.evaluation.dataset)
        cut = sum(
            is_cut(cluster.config, trial, dataset, "training") for trial in trials
        )
        say(
            f"{cut} of {len(trials)} trials are fitted in blocks; "
            f"others take less than {SMALLEST_S:g} s of CPU an iteration, or cannot be cut"
        )
    # halving stops some fits early
    unit = "scores at most" if state.search.strategy == "halving" else "scores"
    with progress("Trials", total, unit) as report:
        report(done, "from the ledger" if done else _name_left(state))
        for _ in _record_steps(cluster, state, state.ready):
            # an expansion adds trials
            done, total = state.count_steps()
            note = ""
            if candidates := state.rank().candidates:
                best = candidates[0]
                value = best.value(state.select)
                note = f"best {state.select} {value:.4f} ({describe(best.trial)})"
            rest = _name_left(state)
            report(done, "; ".join(filter(None, (note, rest))), total)


def _name_left(state: SearchState) -> str:
    """Name the first trials that are left, of which a worker each runs."""
    trials = [describe(step.trial) for step in state.schedule.steps]
    more = f" and {len(trials) - _NAMED:,} more" if len(trials) > _NAMED else ""
    return f"left: {'; '.join(trials[:_NAMED])}{more}" if trials else ""


def _record_steps(
    cluster: Cluster, state: SearchState, ready: Callable[[], Iterable[Checkpoint]]
) -> Iterator[None]:
    """Run steps that are ready; yield after each is recorded."""
    jobs: dict[Checkpoint, Job[Score]] = {}
    minutes = state.search.trial_minutes

    def ready_jobs() -> Iterator[Job[Score]]:
        for step in ready():
            if step not in jobs:
                plan = plan_step(cluster, *state.arguments(step), minutes=minutes)
                jobs[step] = Job(step, plan, step.priority, step.resources)
            yield jobs[step]

    for job in cluster.run_jobs(ready_jobs):
        if job.is_ended:
            state.record(job.key, job.error or job.result())
            yield


def _score_finalists(cluster: Cluster, state: SearchState) -> None:
    """Score the finalists by every metric; other trials replace a finalist whose fit fails."""

    def ready() -> list[Checkpoint]:
        scores = [entry.score for entry in finalists(state)]
        return [score.checkpoint for score in scores if not score.is_whole]

    if steps := ready():
        with progress("Finalists", len(steps), "fits") as report:
            for done, _ in enumerate(_record_steps(cluster, state, ready), start=1):
                report(done, "every metric")
