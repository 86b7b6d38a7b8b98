"""Run a search: plan, run steps on the cluster, record each, and choose the winner.

The finalists are scored by every metric, ranked, compared and explained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.statistics.effects import Interval
from analysis.store import MANIFEST, Store
from looplib.arrays import FloatArray
from looplib.config import dump_config
from looplib.files import sha256_file
from looplib.progress import WARNING, progress, say
from recsys.blockwise import SMALLEST_S, pays
from recsys.cluster.cluster import Call, Calls, Client, Cluster, Outcome, Running
from recsys.cluster.lifetime import run_within
from recsys.cluster.processes import is_small
from recsys.config import SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.dataset import open_dataset
from recsys.dataset.interactions import warn_without_artists
from recsys.errors import SearchError
from recsys.models.external import External
from recsys.models.registry import MODELS
from recsys.models.trial import CHECKPOINTS, Checkpoint, Trial
from recsys.run import (
    CONFIG,
    LEADERBOARD,
    LEDGER,
    NO_BETTER,
    PENDING,
    REPORT,
    Winner,
    locked_run,
    write_winner,
)
from recsys.search.leaderboard import (
    Entry,
    Leaderboard,
    describe,
    explain_winner,
)
from recsys.search.ledger import Score
from recsys.search.memory import check_memory
from recsys.search.scorer import (
    Scorer,
    compare_steps,
    cross_fit,
    leads,
    resolve_split,
    score_thirds,
    write_listener_scores,
)
from recsys.search.state import SearchState
from recsys.search.step import plan_fit, run_step
from recsys.search.trials import SearchPlan, plan_search
from recsys.storage import Workspace, open_workspace

# modules that every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.kernels.ranking", "pandas")
_NAMED = 3  # trials that the progress names
_FEWEST = 10  # listeners below whom a comparison says nothing
# Parts of the listeners who choose; with more, their scores depend on each other.
_FOLDS = 2


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
        scorer = _prepare_data(store, plan, run, cluster)
        dataset = open_dataset(scorer.dataset)
        check_memory(cluster, plan.candidates, dataset)
        decided = {"validation": scorer.validation}
        _write_config(run, config.model_copy(update=decided))
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
        winner = _choose_winner(cluster, state, store)
        run.delete(CHECKPOINTS, PENDING)
        cluster.say_use()
        return winner


def _write_config(run: Workspace, config: SearchConfig) -> None:
    with run.create(PENDING) as file:
        file.write(dump_config(config).encode())


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
    rerank = config.export.rerank
    warn_without_artists(rerank, dataset)
    scorer = Scorer(dataset.address, config.validation, config.seed, rerank)
    return resolve_split(scorer)


def _run_steps(cluster: Cluster, state: SearchState) -> None:
    """Run all steps, each recorded before the next decision."""
    done, total = state.count_steps()
    # halving stops some fits early
    unit = "scores at most" if state.search.strategy == "halving" else "scores"
    with progress("Trials", total, unit) as report:
        report(done, "from the ledger" if done else _name_left(state))
        for outcome in _run_ready(cluster, state):
            state.record(outcome)
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
    steps = sorted(state.schedule.steps, key=lambda step: -step.priority)
    trials = [describe(step.trial) for step in steps]
    more = f" and {len(trials) - _NAMED:,} more" if len(trials) > _NAMED else ""
    return f"left: {'; '.join(trials[:_NAMED])}{more}" if trials else ""


def _run_ready(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run steps; the blocks of fits share the workers with other steps by priority."""
    fits: dict[Checkpoint, Running[None]] = {}
    minutes = state.search.trial_minutes
    in_blocks = [trial for trial in state.plan.candidates if _is_cut(state, trial)]
    if state.plan.config.cluster.fit == "blocks":
        say(
            f"{len(in_blocks)} of {len(state.plan.candidates)} trials are fitted in blocks; "
            f"others take less than {SMALLEST_S:g} s of CPU an iteration, or cannot be cut"
        )

    def ready() -> Calls:
        calls: dict[Any, Call] = {}
        for step, (function, *arguments) in state.ready().items():
            fit = fits.get(step)
            if not fit and _is_cut(state, step.trial):
                plan = plan_fit(cluster, *arguments[:4], minutes=minutes)
                fit = fits[step] = Running(str(step), plan, step.priority)
            whole = {step: (run_within, minutes, function, *arguments)}
            calls |= (fit and fit.calls) or whole
        return calls

    for outcome in cluster.run_ready(ready):
        if isinstance(outcome.key, Checkpoint):
            yield outcome
            continue
        step = next(
            (step for step, fit in fits.items() if fit is outcome.key.plan), None
        )
        if step is None:
            continue  # the fit has failed
        try:
            fits[step].record(outcome)
        # any error, as of a call on a worker; `record` raises the errors that no trial has caused
        except Exception as error:  # noqa: BLE001
            del fits[step]
            yield Outcome(step, None, error)


def _is_cut(state: SearchState, trial: Trial) -> bool:
    """Check whether a trial is fitted in blocks."""
    return (
        state.plan.config.cluster.fit == "blocks"
        and trial.model_type.in_blocks
        and pays(open_dataset(state.scorer.dataset), "training", trial.config)
    )


def _choose_winner(cluster: Cluster, state: SearchState, store: Store) -> Winner:
    """Rank, compare and choose; leave the leaderboard and the winner.

    Raises:
        SearchError: Every trial failed.
    """
    run = state.run
    scorer = state.scorer
    _score_finalists(cluster, state)
    best = _finalists(state)[0]
    leaderboard = state.rank().compare(partial(compare_steps, scorer, run))
    # the intervals hold for all pairs at once, because the same listeners chose the winner
    baselines, lead = _compare_baselines(state, leaderboard, best)
    rows = leaderboard.rows(scorer.validation.pool)
    score = best.score
    _, relevant = scorer.read_listeners(run, score.checkpoint)
    listeners = int(np.count_nonzero(relevant))
    beats_baselines = listeners >= _FEWEST and all(
        entry.behind and entry.behind.upper < 0 for entry in baselines
    )
    warnings = explain_winner(leaderboard, may_expand=state.search.expand)
    warnings += _explain_search(state, lead, listeners)
    hits = f"precision@{max(scorer.validation.ks)}"
    unplayed = score.metrics.get(f"unplayed_{hits}")
    if unplayed and unplayed.value:
        share = unplayed.value / score.metrics[hits].value
        warnings.append(
            f"{share:.1%} of the winner's hits are of tracks that nobody had played in "
            "training; the catalogue has them"
        )
    if price := score.metrics.get(f"price_{state.select}"):
        plain, changed = (
            score.metrics[f"{name}@{max(scorer.validation.ks)}"].value
            for name in ("artists", "reranked_artists")
        )
        warnings.append(
            f"Re-ranking costs {price.value:.4f} of {state.select} ({price.lower:.4f} to "
            f"{price.upper:.4f}); the artists of a list go from {plain:.1f} to {changed:.1f}"
        )
    if not beats_baselines:
        warnings.append(
            f"{WARNING} {NO_BETTER}, so only export.publish_anyway: true publishes it"
        )
    say("\n".join(warnings))
    # until now the folder had the conclusions of an earlier search
    run.delete(REPORT)
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    scored = (entry.score for entry in leaderboard.entries if entry.score.metrics)
    steps = [score.checkpoint for score in scored]
    write_listener_scores(scorer, run, steps, store)
    with run.create(CONFIG) as file:
        file.write((run.folder / PENDING).read_bytes())
    winner = Winner(
        score.trial,
        score.iteration,
        score.metrics,
        state.select,
        scorer.dataset_digest,
        state.plan.store,
        tuple(warnings),
        beats_baselines,
        score.test,
        _find_factors(leaderboard, best),
        score_thirds(scorer, run, score.checkpoint),
        {name: sha256_file(run.folder / name) for name in (CONFIG, LEADERBOARD)},
    )
    write_winner(run, winner)
    return winner


def _compare_baselines(
    state: SearchState, leaderboard: Leaderboard, best: Entry
) -> tuple[list[Entry], tuple[str, Interval] | None]:
    """Estimate the difference of the baselines from the cross-fitted choice of the listeners.

    The test part, which chose nothing, scores the winner.

    Returns:
        The baselines; the best baseline, and the lead over a cross-fitted choice of baselines, as
            the best of several on the same listeners looks better than it is.
    """
    scorer = state.scorer
    scored = [entry for entry in leaderboard.baselines if entry.score.metrics]

    def read(entries: Sequence[Entry], scorer: Scorer) -> FloatArray:
        steps = (entry.score.checkpoint for entry in entries)
        return np.stack([scorer.read_listeners(state.run, step) for step in steps])

    if not scored:
        return leaderboard.baselines, None
    choices = read(leaderboard.candidates, scorer)
    rules = read(scored, scorer)
    parts = np.stack(
        [
            *(cross_fit(models, _FOLDS, scorer.seed) for models in (choices, rules)),
            *rules,
        ]
    )
    if scorer.validation.test_share:
        on_test = read([best, scored[0], *scored], replace(scorer, is_test=True))
        parts = np.concatenate([parts, on_test], axis=2)
    chooser, *behind = leads(parts)
    rest = iter(behind)
    baselines = [
        replace(entry, behind=next(rest) if entry in scored else None)
        for entry in leaderboard.baselines
    ]
    return baselines, (scored[0].trial.id, chooser.scaled(-1))


def _finalists(state: SearchState) -> list[Entry]:
    """List the best candidate, the best of each kind, and the trials that were not stopped."""
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
    """Score the finalists by every metric; other trials replace a finalist whose fit fails."""

    def ready() -> Calls:
        scores = [entry.score for entry in _finalists(state)]
        steps = [score.checkpoint for score in scores if not score.is_whole]
        minutes = state.search.trial_minutes
        return {
            step: (run_within, minutes, *state.call(step, is_whole=True))
            for step in steps
        }

    calls = ready()
    if not calls:
        return
    with progress("Finalists", len(calls), "fits") as report:
        for done, outcome in enumerate(cluster.run_ready(ready), start=1):
            state.record(outcome)
            report(done, "every metric")


def _explain_search(
    state: SearchState, lead: tuple[str, Interval] | None, listeners: int
) -> list[str]:
    """Describe the expansion of the space and the lead over the baselines."""
    texts = []
    if state.schedule.ended:
        tried = "; ".join(map(describe, state.schedule.added)) or "nothing"
        texts.append(
            f"Beyond the edges of the axes, search.expand tried {tried}: {state.schedule.ended}"
        )
    if lead:
        rule, difference = lead
        texts.append(
            f"The best simple rule is {rule}; the winner's {state.select} less that of the rule: "
            f"{difference:+.4f}, both chosen by other listeners than are scored"
        )
    else:
        texts.append(f"{WARNING} no baseline could be scored")
    if listeners < _FEWEST:
        texts.append(
            f"{WARNING} {listeners} listeners have relevant held-out tracks; of fewer than "
            f"{_FEWEST} nothing is significant; lower validation.min_time, or ingest more"
        )
    return texts


def _find_factors(leaderboard: Leaderboard, best: Entry) -> Checkpoint | None:
    """Find the best fit with factors if the winner has none.

    A class of another package is published with its own factors or none.
    """
    model = best.trial.model_type
    if model.has_factors or issubclass(model, External):
        return None
    checkpoints = (
        entry.score.checkpoint
        for entry in leaderboard.candidates
        if entry.trial.model_type.has_factors
    )
    return next(checkpoints, None)
