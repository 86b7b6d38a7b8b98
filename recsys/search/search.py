"""Run a search: plan, run steps on the cluster, record each, and choose the winner."""

from collections.abc import Iterator
from functools import partial

from analysis.store import Store
from looplib.config import dump_config
from looplib.progress import progress, say
from recsys.cluster.cluster import Client, Cluster, Outcome, open_cluster
from recsys.config import SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.lists import take_lists
from recsys.models.als import Als
from recsys.models.lists import FixedLists
from recsys.models.registry import MODELS
from recsys.search.folder import CONFIG, LEDGER, Winner, locked_run, seen_files
from recsys.search.leaderboard import WARNING, describe
from recsys.search.ledger import Score
from recsys.search.scorer import Scorer, resolve_split
from recsys.search.state import SearchState
from recsys.search.step import fit_in_blocks, run_step
from recsys.search.trials import CHECKPOINTS, SearchPlan, plan_search
from recsys.search.winner import choose_winner
from recsys.storage import Workspace

# what every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.kernels.ranking", "pandas")
_NAMED = 3  # trials that the progress names where no more are left


def search(
    store: Store,
    run: Workspace,
    config: SearchConfig,
    *,
    client: Client | None = None,
) -> Winner:
    """Run a search and leave its run folder; one that was interrupted goes on where it stopped.

    Args:
        store: What is learned from.
        run: The run's folder.
        config: What to do; the addresses in it are those of the store and the run.
        client: A Dask client, on whose workers to run instead of where the configuration says; it
            stays open.

    Raises:
        UserError: The store, the split, the models or the cluster does not allow it, or every
            trial failed.
    """
    plan = plan_search(store, config)
    seen = seen_files(store, run)
    with (
        open_cluster(plan.config.cluster, seen, client, _IMPORTED) as cluster,
        locked_run(run) as lock,
    ):
        with run.create(CONFIG) as file:
            file.write(dump_config(plan.config).encode())
        scorer = _prepare_data(store, plan, run, cluster)
        if not plan.dataset.rule.is_ordered:
            kinds = ", ".join(name for name, kind in MODELS.items() if kind.needs_order)
            say(
                f"left out, as the rows of {store} have no order: {kinds}; "
                "ingest them with timestamp= or position= to try these"
            )
        state = SearchState(plan, scorer, lock)
        for damage in state.ledger.damaged:
            say(f"{run}/{LEDGER}, {damage}; its step is run again")
        _run_steps(cluster, state)
        winner = choose_winner(cluster, state)
        run.delete(CHECKPOINTS)
        return winner


def _prepare_data(
    store: Store, plan: SearchPlan, run: Workspace, cluster: Cluster
) -> Scorer:
    """Build the dataset, with the lists of other models beside it, and split its listeners."""
    with progress("Sessions to interactions", 100, "%") as report:
        dataset = cached_dataset(store, plan.dataset, run, cluster, report)
    facts = dataset.summary
    say(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, "
        f"{facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, "
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
    for trial in plan.candidates:
        if trial.kind == FixedLists.name:
            file = config.lists[trial.params["name"]]
            say(take_lists(file, trial.params["digest"], store, dataset))
    scorer = Scorer(dataset.address, config.validation, config.seed, cluster.threads)
    return resolve_split(scorer)


def _run_steps(cluster: Cluster, state: SearchState) -> None:
    """Run all steps, each recorded before the next decision."""
    done, total = state.count_steps()
    ready = partial(state.ready, cluster)
    # halving leaves out some
    unit = "scores at most" if state.search.strategy == "halving" else "scores"
    with progress("Trials", total, unit) as report:
        report(done, "from the ledger" if done else "")
        if state.plan.config.cluster.fit == "blocks":
            outcomes = _run_in_blocks(cluster, state)
        else:
            outcomes = cluster.run_ready(run_step, ready)
        for outcome in outcomes:
            state.record(outcome)
            # trials beyond the edges of the axes come on top
            done, total = state.count_steps()
            note = ""
            if candidates := state.rank().candidates:
                best = candidates[0]
                value = best.value(state.metric)
                note = f"best {state.metric} {value:.4f} ({describe(best.trial)})"
            trials = [describe(step.trial) for step in state.schedule.steps]
            if 0 < len(trials) <= _NAMED:
                note += f"; left: {', '.join(trials)}"
            report(done, note, total)


def _run_in_blocks(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run one step after the other; the fits of ALS run across all workers."""
    while calls := state.ready(cluster):
        step, arguments = next(iter(calls.items()))
        try:
            if issubclass(step.trial.model_type, Als):
                fit_in_blocks(cluster, *arguments[:4])
            (score,) = cluster.run(run_step, [arguments])
            outcome = Outcome(step, score, None)
        # of any kind, as of a call on a worker; `record` raises what is no trial's own
        except Exception as error:  # noqa: BLE001
            outcome = Outcome(step, None, error)
        yield outcome
