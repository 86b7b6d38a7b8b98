"""Run a search: plan the trials, run their steps on the cluster, record, decide, conclude."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import MANIFEST as STORE_MANIFEST
from analysis.store import Store
from looplib.config import dump_config
from looplib.files import sha256_file
from looplib.progress import progress, say
from looplib.tables import output
from recsys.cluster.cluster import Call, Client, Cluster, Outcome, open_cluster
from recsys.config import SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.dataset import Dataset
from recsys.dataset.plan import DatasetPlan, plan_dataset
from recsys.dataset.split import SplitRule
from recsys.errors import SearchError
from recsys.models.factor_models import Als
from recsys.models.kinds import KINDS
from recsys.next_track.sessions import session_rule
from recsys.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    LEADERBOARD,
    LEDGER,
    NO_BETTER,
    Winner,
    digest_config,
    locked_run,
    read_config,
    read_listeners,
    write_winner,
)
from recsys.runs.leaderboard import (
    WARNING,
    describe,
    leaderboard_rows,
    leaderboard_table,
    remark_on_baselines,
    remarks,
)
from recsys.runs.ledger import Score
from recsys.runs.ranking import RankedTrial, scored_candidates
from recsys.runs.trials import plan_baselines, plan_candidates, plan_lists
from recsys.scoring import Scorer, settle
from recsys.search.fit_step import fit_in_blocks, run_step
from recsys.search.lists import take_lists
from recsys.search.state import SearchState
from recsys.store.ids import Title, originals, read_titles
from recsys.workspace import Workspace, open_workspace

# what every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.kernels.ranking", "pandas")
_FEWEST = 10  # listeners of whom a comparison says something


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
        UserError: The store, the split, the grid or the cluster does not allow it, or every trial
            failed.
    """
    plan = plan_dataset(store, config)
    titles = read_titles(config.catalogue, store)
    if config.next_track:
        session_rule(store, config)
    is_ordered = plan.rule.is_ordered
    candidates = plan_candidates(
        config.search, plan.digest, config.seed, is_ordered=is_ordered
    )
    try:
        digests = {name: sha256_file(file)[:12] for name, file in config.lists.items()}
    except OSError as error:
        raise SearchError(f"lists: {error.filename}: {error.strerror}") from None
    candidates += plan_lists(digests, plan.digest, config.seed)
    baselines = plan_baselines(config.seed, is_ordered=is_ordered)
    seen = [folder / STORE_MANIFEST for folder in open_workspace(store.address).on_disk]
    seen += [folder / CONFIG for folder in run.on_disk]
    with (
        open_cluster(config.cluster, seen, client, _IMPORTED) as cluster,
        locked_run(run) as lock,
    ):
        with run.create(CONFIG) as file:
            file.write(dump_config(config).encode())
        dataset = _build(store, plan, run, cluster)
        _check_dataset(config, store, dataset, titles)
        for name, digest in digests.items():
            say(take_lists(config.lists[name], digest, store, dataset))
        scorer = Scorer(
            dataset.address, config.validation, config.seed, cluster.threads
        )
        scorer = settle(scorer, store.manifest.catalogue_size)
        _note_left_out(plan.rule, store)
        state = SearchState(config.search, candidates, baselines, scorer, lock)
        for damage in state.ledger.damaged:
            say(f"{run}/{LEDGER}, {damage}; its step is run again")
        _run_steps(cluster, state, in_blocks=config.cluster.fit == "blocks")
        winner = _conclude(cluster, state)
        run.delete(CHECKPOINTS)
        return winner


def _note_left_out(rule: SplitRule, store: Store) -> None:
    """Say which kinds of model need an order of the plays that the store lacks."""
    if not rule.is_ordered:
        kinds = ", ".join(name for name, kind in KINDS.items() if kind.needs_order)
        say(
            f"left out, as the rows of {store} have no order: {kinds}; "
            "ingest them with timestamp= or position= to try these"
        )


def _build(
    store: Store,
    plan: DatasetPlan,
    run: Workspace,
    cluster: Cluster,
) -> Dataset:
    with progress("Sessions to interactions", 100, "%") as report:
        dataset = cached_dataset(store, plan, run, cluster, report)
    facts = dataset.summary
    say(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, "
        f"{facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, "
        "none of their events in training"
    )
    return dataset


def _check_dataset(
    config: SearchConfig,
    store: Store,
    dataset: Dataset,
    titles: Mapping[str, Title],
) -> None:
    """Warn of settings that do not fit the data.

    Raises:
        SearchError: The catalogue names other tracks.
    """
    if config.catalogue is not None and not store.manifest.catalogue:
        tracks = originals(store, "items", dataset.tracks, titles).tolist()
        named = sum(str(track) in titles for track in tracks)
        if 2 * named < len(tracks):
            raise SearchError(
                f"{config.catalogue}: names {named:,} of the {len(tracks):,} tracks of "
                f"{store}, so it belongs to another store; "
                "leave it out: --set catalogue=null"
            )
    shown = config.export.filter_seen
    scored = config.validation.filter_seen
    if shown != scored:
        say(
            f"{WARNING} validation.filter_seen is {str(scored).lower()} and "
            f"export.filter_seen {str(shown).lower()}: "
            "the lists that are published are not those that are scored"
        )


def _run_steps(cluster: Cluster, state: SearchState, *, in_blocks: bool) -> None:
    """Run all steps, each recorded before the next decision."""
    done, total = state.count_steps()
    # halving leaves out some
    unit = "scores at most" if state.search.strategy == "halving" else "scores"
    with progress("Trials", total, unit) as report:
        report(done, "from the ledger" if done else "")
        if in_blocks:
            outcomes = _run_in_blocks(cluster, state)
        else:
            outcomes = cluster.run_ready(run_step, state.ready)
        for outcome in outcomes:
            state.record(outcome)
            # trials beyond the edges of the space come on top of the total
            done = min(state.count_steps()[0], total - bool(state.decisions.steps))
            report(done, _describe_best(state))


def _describe_best(state: SearchState) -> str:
    candidates = scored_candidates(state.rank())
    if not candidates:
        return ""
    best = candidates[0]
    value = best.value(state.metric)
    return f"best {state.metric} {value:.4f} ({describe(best.trial)})"


def _run_in_blocks(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run one step after the other, whose fit runs across all workers."""
    while calls := state.ready():
        call = calls[0]
        trial, _ = call.key
        try:
            if KINDS[trial.kind].in_blocks:
                fit_in_blocks(cluster, *call.arguments[:5])
            (outcome,) = cluster.run(run_step, [call.arguments])
        # of any kind, as of a call on a worker; `record` raises what is no trial's own
        except Exception as error:  # noqa: BLE001
            outcome = Outcome(call.key, None, error)
        yield replace(outcome, key=call.key)


def _finalists(state: SearchState) -> list[RankedTrial]:
    """Return the best candidate, the best of each kind, and what is left at the end."""
    ranking = state.rank()
    candidates = scored_candidates(ranking)
    if not candidates:
        errors = sorted({ranked.stop.reason for ranked in ranking if ranked.stop})
        raise SearchError(
            f"every trial failed ({'; '.join(errors)}); see {state.run}/{LEDGER}"
        )
    best_of_kind = {ranked.trial.kind: ranked for ranked in reversed(candidates)}
    return [
        ranked
        for ranked in candidates
        if ranked.state != "pruned" or best_of_kind[ranked.trial.kind] is ranked
    ]


def _score_finalists(cluster: Cluster, state: SearchState) -> None:
    """Score the finalists by every metric; a fit that fails then makes way for others."""

    def ready() -> list[Call]:
        return state.partly_scored(_finalists(state))

    calls = ready()
    if not calls:
        return
    with progress("Finalists", len(calls), "fits") as report:
        for done, outcome in enumerate(cluster.run_ready(run_step, ready), start=1):
            state.record(outcome)
            report(done, "every metric")


def _describe_widening(state: SearchState) -> str:
    """Say what was tried beyond the edges of the space, and how that ended."""
    tried = "; ".join(describe(trial) for trial in state.added)
    return f"Beyond the edges of the space, search.widen tried {tried}: {state.widened}"


def _warnings(listeners: int, *, beats_baselines: bool) -> list[str]:
    """Say why a winner should not be trusted, or is not published."""
    found = []
    if listeners < _FEWEST:
        found.append(
            f"{WARNING} {listeners} listeners with held-out tracks; of fewer than {_FEWEST} "
            "nothing is significant"
        )
    if not beats_baselines:
        found.append(
            f"{WARNING} {NO_BETTER}, so only export.publish_anyway: true publishes it"
        )
    return found


def _conclude(cluster: Cluster, state: SearchState) -> Winner:
    """Rank, compare and choose; leave the leaderboard and the winner."""
    run = state.run
    metric = state.metric
    _score_finalists(cluster, state)
    best = _finalists(state)[0]
    ranking = state.compare(state.rank(), best)
    # the intervals hold for all pairs at once: the winner was chosen by the same listeners
    baselines = [ranked for ranked in ranking if ranked.trial.is_baseline]
    has_test = bool(state.scorer.validation.test_share)
    if has_test:
        scorer = replace(state.scorer, is_test=True)
        _, *baselines = state.compare([best, *baselines], best, scorer)
    listeners = read_listeners(run, state.scorer, best.trial, best.sweep).shape[1]
    beats_baselines = listeners >= _FEWEST and all(
        ranked.behind and ranked.behind[2] < 0 for ranked in baselines
    )
    rows = leaderboard_rows(ranking)
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    output().print(leaderboard_table(rows, metric))
    found = remarks(ranking, best, metric, state.search)
    if state.added:
        found.append(_describe_widening(state))
    found.append(remark_on_baselines(baselines, metric, on_test=has_test))
    found += _warnings(listeners, beats_baselines=beats_baselines)
    for remark in found:
        say(remark)
    score = best.score or Score(best.sweep)
    factors = None
    if best.trial.kind != Als.name:
        als = [found for found in ranking if found.trial.kind == Als.name]
        factors = next(iter(scored_candidates(als)), None)
    winner = Winner(
        best.trial,
        best.sweep,
        score.metrics,
        metric,
        state.scorer.dataset_digest,
        tuple(found),
        beats_baselines,
        score.test,
        factors.trial if factors else None,
        factors.sweep if factors else 0,
        {
            CONFIG: digest_config(read_config(run)),
            LEADERBOARD: sha256_file(run.folder / LEADERBOARD),
        },
    )
    write_winner(run, winner)
    return winner
