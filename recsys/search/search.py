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
from recsys.dataset.lists import take_lists
from recsys.dataset.plan import DatasetPlan, plan_dataset
from recsys.errors import SearchError
from recsys.models.als import Als
from recsys.models.registry import MODELS
from recsys.next_track.sessions import session_rule
from recsys.search.folder import (
    CONFIG,
    LEADERBOARD,
    LEDGER,
    NO_BETTER,
    Winner,
    digest_config,
    locked_run,
    read_config,
    write_winner,
)
from recsys.search.leaderboard import (
    WARNING,
    Entry,
    describe,
    explain_baselines,
    explain_winner,
    print_rows,
)
from recsys.search.ledger import Score
from recsys.search.scorer import Scorer, resolve_split
from recsys.search.state import SearchState
from recsys.search.step import fit_in_blocks, run_step
from recsys.search.trials import (
    CHECKPOINTS,
    Checkpoint,
    plan_baselines,
    plan_lists,
    plan_trials,
)
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
        UserError: The store, the split, the models or the cluster does not allow it, or every
            trial failed.
    """
    plan = plan_dataset(store, config)
    titles = read_titles(config.catalogue, store)
    if config.next_track:
        session_rule(store, config)
    is_ordered = plan.rule.is_ordered
    seed = config.seed
    trials = plan_trials(config.models, plan.digest, seed, is_ordered=is_ordered)
    try:
        digests = {name: sha256_file(file)[:12] for name, file in config.lists.items()}
    except OSError as error:
        raise SearchError(f"lists: {error.filename}: {error.strerror}") from None
    trials += plan_lists(digests, plan.digest, seed)
    if not trials:
        raise SearchError(
            f"models: {', '.join(config.models) or 'none'}; at least one that the store allows, "
            "or a file of lists, is needed"
        )
    baselines = plan_baselines(seed, is_ordered=is_ordered)
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
        scorer = Scorer(dataset.address, config.validation, seed, cluster.threads)
        scorer = resolve_split(scorer, store.manifest.catalogue_size)
        if not is_ordered:
            kinds = ", ".join(name for name, kind in MODELS.items() if kind.needs_order)
            say(
                f"left out, as the rows of {store} have no order: {kinds}; "
                "ingest them with timestamp= or position= to try these"
            )
        state = SearchState(config.search, trials, baselines, scorer, lock)
        for damage in state.ledger.damaged:
            say(f"{run}/{LEDGER}, {damage}; its step is run again")
        _run_steps(cluster, state, in_blocks=config.cluster.fit == "blocks")
        winner = _conclude(cluster, state)
        run.delete(CHECKPOINTS)
        return winner


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
            # trials beyond the edges of the axes come on top of the total
            done = min(state.count_steps()[0], total - bool(state.schedule.steps))
            report(done, _describe_best(state))


def _describe_best(state: SearchState) -> str:
    candidates = state.rank().candidates
    if not candidates:
        return ""
    value = candidates[0].value(state.metric)
    return f"best {state.metric} {value:.4f} ({describe(candidates[0].trial)})"


def _run_in_blocks(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run one step after the other; the fits of ALS run across all workers."""
    while calls := state.ready():
        call = calls[0]
        try:
            if issubclass(call.key.trial.model_type, Als):
                fit_in_blocks(cluster, *call.arguments[:4])
            (outcome,) = cluster.run(run_step, [call.arguments])
        # of any kind, as of a call on a worker; `record` raises what is no trial's own
        except Exception as error:  # noqa: BLE001
            outcome = Outcome(call.key, None, error)
        yield replace(outcome, key=call.key)


def _finalists(state: SearchState) -> list[Entry]:
    """List the best candidate, the best of each kind, and what is left at the end."""
    leaderboard = state.rank()
    candidates = leaderboard.candidates
    if not candidates:
        errors = sorted({entry.why for entry in leaderboard.entries if entry.why})
        raise SearchError(
            f"every trial failed ({'; '.join(errors)}); see {state.run}/{LEDGER}"
        )
    best_of_kind = {entry.trial.kind: entry for entry in reversed(candidates)}
    return [
        entry
        for entry in candidates
        if entry.state != "pruned" or best_of_kind[entry.trial.kind] is entry
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


def _conclude(cluster: Cluster, state: SearchState) -> Winner:
    """Rank, compare and choose; leave the leaderboard and the winner."""
    run = state.run
    metric = state.metric
    scorer = state.scorer
    _score_finalists(cluster, state)
    best = _finalists(state)[0]
    leaderboard = state.compare(state.rank(), best, scorer)
    # the intervals hold for all pairs at once: the winner was chosen by the same listeners
    baselines = leaderboard.baselines
    has_test = bool(scorer.validation.test_share)
    if has_test:
        pair = replace(leaderboard, entries=(best, *baselines))
        on_test = replace(scorer, is_test=True)
        baselines = state.compare(pair, best, on_test).baselines
    rows = leaderboard.rows()
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    output().print(print_rows(rows, metric))
    score = best.score or Score(best.trial, best.iteration, scorer.digest)
    listeners = scorer.read_listeners(run, score.checkpoint).shape[1]
    beats_baselines = listeners >= _FEWEST and all(
        entry.behind and entry.behind[2] < 0 for entry in baselines
    )
    texts = explain_winner(leaderboard, best, may_expand=state.search.expand)
    if state.schedule.added:
        tried = "; ".join(map(describe, state.schedule.added))
        texts.append(
            f"Beyond the edges of the axes, search.expand tried {tried}: {state.schedule.ended}"
        )
    texts.append(explain_baselines(baselines, metric, on_test=has_test))
    if listeners < _FEWEST:
        texts.append(
            f"{WARNING} {listeners} listeners with held-out tracks; of fewer than {_FEWEST} "
            "nothing is significant"
        )
    if not beats_baselines:
        texts.append(
            f"{WARNING} {NO_BETTER}, so only export.publish_anyway: true publishes it"
        )
    for text in texts:
        say(text)
    factors = None
    if not best.trial.model_type.has_factors:
        rows_with_factors = (
            row for row in leaderboard.candidates if row.trial.model_type.has_factors
        )
        factors = next(
            (Checkpoint(row.trial, row.iteration) for row in rows_with_factors), None
        )
    winner = Winner(
        best.trial,
        best.iteration,
        score.metrics,
        metric,
        scorer.dataset_digest,
        tuple(texts),
        beats_baselines,
        score.test,
        factors,
        {
            CONFIG: digest_config(read_config(run)),
            LEADERBOARD: sha256_file(run.folder / LEADERBOARD),
        },
    )
    write_winner(run, winner)
    return winner
