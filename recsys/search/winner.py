"""Choose the winner of a search: score the finalists by every metric, rank, compare, explain."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.arrays import FloatArray
from looplib.files import sha256_file
from looplib.progress import progress, say
from looplib.tables import output
from recsys.cluster.cluster import Calls, Cluster
from recsys.errors import SearchError
from recsys.models.external import External
from recsys.search.folder import (
    CONFIG,
    LEADERBOARD,
    LEDGER,
    NO_BETTER,
    Winner,
    write_winner,
)
from recsys.search.leaderboard import (
    WARNING,
    Entry,
    Leaderboard,
    describe,
    explain_winner,
    print_rows,
)
from recsys.search.scorer import Scorer, compare_steps, cross_fit, leads
from recsys.search.state import SearchState
from recsys.search.step import run_step
from recsys.search.trials import Checkpoint

_FEWEST = 10  # listeners of whom a comparison says something
_FOLDS = 2  # of the listeners who choose; with more, their scores depend on each other


def choose_winner(cluster: Cluster, state: SearchState) -> Winner:
    """Rank, compare and choose; leave the leaderboard and the winner.

    Raises:
        SearchError: Every trial failed.
    """
    run = state.run
    scorer = state.scorer
    _score_finalists(cluster, state)
    best = _finalists(state)[0]
    leaderboard = state.rank().compare(partial(compare_steps, scorer, run))
    # the intervals hold for all pairs at once: the winner was chosen by the same listeners
    baselines = _compare_baselines(state, leaderboard, best)
    rows = leaderboard.rows()
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    output().print(print_rows(rows, state.metric))
    score = best.score
    listeners = scorer.read_listeners(run, score.checkpoint).shape[1]
    beats_baselines = listeners >= _FEWEST and all(
        entry.behind and entry.behind[2] < 0 for entry in baselines
    )
    warnings = explain_winner(leaderboard, may_expand=state.search.expand)
    warnings += _explain_search(state, baselines, listeners)
    if not beats_baselines:
        warnings.append(
            f"{WARNING} {NO_BETTER}, so only export.publish_anyway: true publishes it"
        )
    say("\n".join(warnings))
    winner = Winner(
        score.trial,
        score.iteration,
        score.metrics,
        state.metric,
        scorer.dataset_digest,
        tuple(warnings),
        beats_baselines,
        score.test,
        _find_factors(leaderboard, best),
        {name: sha256_file(run.folder / name) for name in (CONFIG, LEADERBOARD)},
    )
    write_winner(run, winner)
    return winner


def _compare_baselines(
    state: SearchState, leaderboard: Leaderboard, best: Entry
) -> list[Entry]:
    """Estimate how far the baselines are behind what listeners choose for others, cross-fitted.

    The test part, which chose nothing, scores the winner.
    """
    scorer = state.scorer
    scored = [entry for entry in leaderboard.baselines if entry.score.metrics]

    def read(entries: Sequence[Entry], scorer: Scorer) -> FloatArray:
        steps = (entry.score.checkpoint for entry in entries)
        return np.stack([scorer.read_listeners(state.run, step) for step in steps])

    choices = read(leaderboard.candidates, scorer)
    parts = np.stack(
        [cross_fit(choices, _FOLDS, scorer.seed), *read(scored, scorer)]
        if scored
        else [choices[0]]
    )
    if scorer.validation.test_share:
        on_test = read([best, *scored], replace(scorer, is_test=True))
        parts = np.concatenate([parts, on_test], axis=2)
    behind = iter(leads(parts))
    return [
        replace(entry, behind=next(behind) if entry in scored else None)
        for entry in leaderboard.baselines
    ]


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
        scores = [entry.score for entry in _finalists(state)]
        steps = [score.checkpoint for score in scores if not score.is_whole]
        threads = cluster.threads_of(len(steps))
        return {step: state.arguments(step, threads, is_whole=True) for step in steps}

    calls = ready()
    if not calls:
        return
    with progress("Finalists", len(calls), "fits") as report:
        for done, outcome in enumerate(cluster.run_ready(run_step, ready), start=1):
            state.record(outcome)
            report(done, "every metric")


def _explain_search(
    state: SearchState, baselines: list[Entry], listeners: int
) -> list[str]:
    """Describe what was tried beyond the space, and the lead over the baselines."""
    texts = []
    if state.schedule.ended:
        tried = "; ".join(map(describe, state.schedule.added)) or "nothing"
        texts.append(
            f"Beyond the edges of the axes, search.expand tried {tried}: {state.schedule.ended}"
        )
    behind = {entry.trial.id: entry.behind for entry in baselines if entry.behind}
    if behind:
        best = max(behind, key=lambda name: behind[name][0])
        value, lower, upper = behind[best]
        texts.append(
            f"The best simple rule is {best}; the winner's {state.metric} less that of the rule: "
            f"{-value:+.4f} ({-upper:+.4f} … {-lower:+.4f}), cross-fitted over listeners"
        )
    else:
        texts.append(f"{WARNING} no baseline could be scored")
    if listeners < _FEWEST:
        texts.append(
            f"{WARNING} {listeners} listeners with held-out tracks; of fewer than {_FEWEST} "
            "nothing is significant"
        )
    return texts


def _find_factors(leaderboard: Leaderboard, best: Entry) -> Checkpoint | None:
    """Find the best fit with factors, where the winner has none.

    Beside a class of another package stand its own factors or none.
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
