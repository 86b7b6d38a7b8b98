"""Run a search: plan the trials, run their steps on the cluster, record, decide, conclude."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import MANIFEST as STORE_MANIFEST
from analysis.store import Store
from looplib.config import dump_config
from looplib.errors import UserError
from looplib.files import sha256_file
from looplib.progress import progress, say
from looplib.tables import output
from recsys.cluster.cluster import Calls, Client, Cluster, Outcome, open_cluster
from recsys.config import Search, SearchConfig
from recsys.dataset.cache import cached_dataset, dataset_digest
from recsys.dataset.lists import take_lists
from recsys.dataset.split import SplitRule, split_rule
from recsys.errors import SearchError, TrialError, WorkerDiedError
from recsys.lock import Lock
from recsys.models.als import Als
from recsys.models.external import CLASS, External, describe_class
from recsys.models.lists import FixedLists
from recsys.models.registry import MODELS
from recsys.next_track.sessions import check_sessions
from recsys.search.comparison import MetricValue
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
    Leaderboard,
    describe,
    explain_baselines,
    explain_winner,
    print_rows,
    rank,
)
from recsys.search.ledger import Ledger, Score, failure_of
from recsys.search.schedule import Schedule, decide, expand
from recsys.search.scorer import Scorer, resolve_split
from recsys.search.step import fit_in_blocks, run_step
from recsys.search.trials import (
    CHECKPOINTS,
    Checkpoint,
    Trial,
    plan_baselines,
    plan_trials,
)
from recsys.workspace import Workspace, open_workspace

# what every worker imports, which takes longer than a score
_IMPORTED = (run_step.__module__, "recsys.models.kernels.ranking", "pandas")
_FEWEST = 10  # listeners of whom a comparison says something


class SearchState:
    """The scores of a search and what is left to do; begins with what its ledger holds."""

    def __init__(
        self,
        search: Search,
        planned: Sequence[Trial],
        baselines: Sequence[Trial],
        scorer: Scorer,
        lock: Lock,
    ) -> None:
        """Read the ledger of a locked run, and schedule."""
        self.search = search
        self._lock = lock
        self.scorer = scorer
        self._planned = planned
        self.run = lock.workspace
        self.metric = scorer.validation.select
        self.baselines = baselines
        is_kept = partial(scorer.has_listeners, self.run)
        self.ledger = Ledger(self.run.folder / LEDGER, scorer.digest, is_kept)
        self._compared: dict[tuple[Checkpoint, ...], list[MetricValue]] = {}
        self.schedule = self._decide()

    @property
    def trials(self) -> list[Trial]:
        """The candidates, with those beyond the edges of what was planned, and the baselines."""
        return [*self._planned, *self.schedule.added, *self.baselines]

    def count_steps(self) -> tuple[int, int]:
        """Count the steps that are done, or left out by fits that were stopped early, and all."""
        done = total = 0
        for trial in self.trials:
            steps = len(self.search.scored_iterations) if trial.is_iterative else 1
            is_done = trial.id in self.schedule.done
            done += steps if is_done else len(self.ledger.scores[trial.id])
            total += steps
        return done, total

    def ready(self) -> Calls:
        """List the steps that can run now as calls of `run_step`, the most urgent first."""
        # What has no iterations is scored by every metric at once, as its fit is not kept, and so
        # is the end of a fit: few that come there are not left at the end of the search.
        last = self.search.scored_iterations[-1]
        steps = [*self.schedule.steps]
        steps += [
            Checkpoint(trial, 0)
            for trial in self.baselines
            if not self.ledger.scores[trial.id]
        ]
        return {
            step: self.arguments(step, is_whole=step.iteration in (0, last))
            for step in steps
        }

    def arguments(self, step: Checkpoint, *, is_whole: bool) -> tuple[Any, ...]:
        """List the arguments of `run_step`."""
        earlier = [score.iteration for score in self.ledger.scores[step.trial.id]]
        start = max((done for done in earlier if done <= step.iteration), default=0)
        return (step, self.scorer, self.run.address, start, is_whole)

    def record(self, outcome: Outcome[Score]) -> None:
        """Write an outcome to the ledger, and schedule anew.

        Of a trial's checkpoints the latest and the best stay; of one that was stopped, none.

        Raises:
            UserError, OSError: What failed is not the trial's own failure.
        """
        error = outcome.error
        is_of_trial = isinstance(error, (TrialError, WorkerDiedError))
        if error is None or (
            isinstance(error, (OSError, UserError)) and not is_of_trial
        ):
            score = outcome.result()
        else:
            score = Score(
                outcome.key.trial,
                outcome.key.iteration,
                self.scorer.digest,
                error=f"{type(error).__name__}: {error}",
                is_final=isinstance(error, TrialError),
            )
        self.ledger.add(score)
        self._lock.check()
        self.run.upload(LEDGER)
        before = self.schedule
        self.schedule = self._decide()
        ended = self.schedule.done - before.done
        for trial in self.trials:
            if trial.id in ended or trial.id == score.trial.id:
                self._clear(trial)

    def _clear(self, trial: Trial) -> None:
        """Delete the checkpoints of a trial that are not needed any more."""
        scores = self.ledger.scores[trial.id]
        needed = set()
        if trial.id not in self.schedule.stopped and not failure_of(scores):
            best = max(
                scores,
                key=lambda score: (score.metrics[self.metric][0], -score.iteration),
            )
            needed = {best.iteration, scores[-1].iteration}
        names = [
            score.checkpoint.file for score in scores if score.iteration not in needed
        ]
        if trial.id in self.schedule.done:
            names.append(trial.blocks)
        self.run.delete(*names)

    def rank(self) -> Leaderboard:
        """Rank candidates and baselines by the choosing metric."""
        stopped = self.schedule.stopped
        return rank(self.trials, stopped, self.ledger.scores, self.metric)

    def _decide(self) -> Schedule:
        facts = (self.search, self._planned, self.ledger.scores, self.metric)
        if self.search.expand:
            return expand(*facts, self._compare, self.scorer.dataset_digest)
        return decide(*facts, self._compare)

    def _compare(self, steps: tuple[Checkpoint, ...]) -> list[MetricValue]:
        """Estimate how far each step is behind the best of them."""
        if steps not in self._compared:
            self._compared[steps] = self.scorer.compare(self.run, steps)
        return self._compared[steps]


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
    digest = dataset_digest(store, config)
    rule = split_rule(store, config.split, config.seed)
    if config.next_track:
        check_sessions(store, rule)
    candidates = _plan_candidates(config, digest, rule)
    seen = [folder / STORE_MANIFEST for folder in open_workspace(store.address).on_disk]
    seen += [folder / CONFIG for folder in run.on_disk]
    options = config.cluster
    with (
        open_cluster(options, seen, client, _IMPORTED) as cluster,
        locked_run(run) as lock,
    ):
        with run.create(CONFIG) as file:
            file.write(dump_config(config).encode())
        scorer = _prepare_data(store, config, digest, candidates, run, cluster)
        baselines = plan_baselines(config.seed, is_ordered=rule.is_ordered)
        if not rule.is_ordered:
            kinds = ", ".join(name for name, kind in MODELS.items() if kind.needs_order)
            say(
                f"left out, as the rows of {store} have no order: {kinds}; "
                "ingest them with timestamp= or position= to try these"
            )
        state = SearchState(config.search, candidates, baselines, scorer, lock)
        for damage in state.ledger.damaged:
            say(f"{run}/{LEDGER}, {damage}; its step is run again")
        _run_steps(cluster, state, in_blocks=options.fit == "blocks")
        winner = _conclude(cluster, state)
        run.delete(CHECKPOINTS)
        return winner


def _plan_candidates(
    config: SearchConfig, dataset: str, rule: SplitRule
) -> list[Trial]:
    """Plan what may win, for the dataset of a digest."""
    try:
        lists = {name: sha256_file(file)[:12] for name, file in config.lists.items()}
    except OSError as error:
        raise SearchError(f"lists: {error.filename}: {error.strerror}") from None
    iterations = config.search.iterations
    models = {
        name: describe_class(name, axes, iterations) if CLASS in axes else axes
        for name, axes in config.models.items()
    }
    facts = (models, lists, dataset, config.seed)
    trials = plan_trials(*facts, is_ordered=rule.is_ordered)
    if not trials:
        raise SearchError(
            f"models: {', '.join(config.models) or 'none'}; at least one that the store allows, "
            "or a file of lists, is needed"
        )
    return trials


def _prepare_data(
    store: Store,
    config: SearchConfig,
    digest: str,
    candidates: Sequence[Trial],
    run: Workspace,
    cluster: Cluster,
) -> Scorer:
    """Build the dataset, with the lists of other models beside it, and split its listeners."""
    with progress("Sessions to interactions", 100, "%") as report:
        dataset = cached_dataset(store, config, digest, run, cluster, report)
    facts = dataset.summary
    say(
        f"{facts.listeners:,} listeners, {facts.tracks:,} tracks, "
        f"{facts.interactions:,} training interactions; "
        f"{facts.heldout_sessions:,} of {facts.sessions:,} sessions held out, "
        "none of their events in training"
    )
    shown = config.export.filter_seen
    if shown != config.validation.filter_seen:
        say(
            f"{WARNING} validation.filter_seen is {str(not shown).lower()} and "
            f"export.filter_seen {str(shown).lower()}: "
            "the lists that are published are not those that are scored"
        )
    for trial in candidates:
        if trial.kind == FixedLists.name:
            file = config.lists[trial.params["name"]]
            say(take_lists(file, trial.params["digest"], store, dataset))
    scorer = Scorer(dataset.address, config.validation, config.seed, cluster.threads)
    return resolve_split(scorer, store.manifest.catalogue_size)


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
            note = ""
            if candidates := state.rank().candidates:
                best = candidates[0]
                value = best.value(state.metric)
                note = f"best {state.metric} {value:.4f} ({describe(best.trial)})"
            report(done, note)


def _run_in_blocks(cluster: Cluster, state: SearchState) -> Iterator[Outcome[Score]]:
    """Run one step after the other; the fits of ALS run across all workers."""
    while calls := state.ready():
        step, arguments = next(iter(calls.items()))
        try:
            if issubclass(step.trial.model_type, Als):
                fit_in_blocks(cluster, *arguments[:4])
            (outcome,) = cluster.run(run_step, [arguments])
        # of any kind, as of a call on a worker; `record` raises what is no trial's own
        except Exception as error:  # noqa: BLE001
            outcome = Outcome(step, None, error)
        yield replace(outcome, key=step)


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

    def ready() -> Calls:
        scores = (entry.score for entry in _finalists(state))
        return {
            score.checkpoint: state.arguments(score.checkpoint, is_whole=True)
            for score in scores
            if not score.is_whole
        }

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
    leaderboard = state.rank().compare(best, partial(scorer.compare, run))
    # the intervals hold for all pairs at once: the winner was chosen by the same listeners
    baselines = leaderboard.baselines
    has_test = bool(scorer.validation.test_share)
    if has_test:
        pair = replace(leaderboard, entries=(best, *baselines))
        on_test = replace(scorer, is_test=True)
        baselines = pair.compare(best, partial(on_test.compare, run)).baselines
    rows = leaderboard.rows()
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    output().print(print_rows(rows, metric))
    score = best.score
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
    # of the model itself or of none, where it is a class of another package
    is_external = issubclass(best.trial.model_type, External)
    if not (best.trial.model_type.has_factors or is_external):
        checkpoints = (
            entry.score.checkpoint
            for entry in leaderboard.candidates
            if entry.trial.model_type.has_factors
        )
        factors = next(checkpoints, None)
    winner = Winner(
        score.trial,
        score.iteration,
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
