"""Choose the winner of a search, compare it with all others, and say how sure that is."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.statistics.effects import Interval
from analysis.store import Store
from looplib.arrays import FloatArray
from looplib.files import sha256_file
from looplib.progress import WARNING, say
from recsys.errors import SearchError
from recsys.models.external import External
from recsys.models.trial import Checkpoint
from recsys.run import (
    CONFIG,
    LEADERBOARD,
    LEDGER,
    NO_BETTER,
    PENDING,
    REPORT,
    Winner,
    write_winner,
)
from recsys.search.comparison import compare_steps, cross_fit, leads, score_thirds
from recsys.search.evaluation import Evaluation, write_listener_scores
from recsys.search.leaderboard import Entry, Leaderboard, describe, explain_winner
from recsys.search.state import SearchState

_FEWEST = 10  # listeners below whom a comparison says nothing
# Parts of the listeners who choose; with more, their scores depend on each other.
_FOLDS = 2
Lead = tuple[str, Interval]  # the best baseline, and the lead over baselines


def finalists(state: SearchState) -> list[Entry]:
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


def choose_winner(state: SearchState, store: Store) -> Winner:
    """Rank and compare scored finalists; leave the leaderboard and the winner in the run."""
    run = state.run
    evaluation = state.evaluation
    best = finalists(state)[0]
    leaderboard = state.rank().compare(partial(compare_steps, evaluation, run))
    # the intervals hold for all pairs at once, because the same listeners chose the winner
    baselines, lead = _compare_baselines(state, leaderboard, best)
    score = best.score
    _, relevant = evaluation.read_listeners(run, score.checkpoint)
    listeners = int(np.count_nonzero(relevant))
    beats_baselines = listeners >= _FEWEST and all(
        entry.behind and entry.behind.upper < 0 for entry in baselines
    )
    warnings = [
        *explain_winner(leaderboard, may_expand=state.search.expand),
        *_explain(state, best, lead, listeners),
    ]
    if not beats_baselines:
        warnings.append(
            f"{WARNING} {NO_BETTER}, so only export.publish_anyway: true publishes it"
        )
    say("\n".join(warnings))
    # until now the folder had the conclusions of an earlier search
    run.delete(REPORT)
    rows = leaderboard.rows(evaluation.validation.pool)
    with run.create(LEADERBOARD) as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    scored = (entry.score for entry in leaderboard.entries if entry.score.metrics)
    steps = [score.checkpoint for score in scored]
    write_listener_scores(evaluation, run, steps, store)
    with run.create(CONFIG) as file:
        file.write((run.folder / PENDING).read_bytes())
    winner = Winner(
        score.trial,
        score.iteration,
        score.metrics,
        state.select,
        evaluation.dataset_digest,
        store.manifest.digest,
        tuple(warnings),
        beats_baselines,
        score.test,
        _find_factors(leaderboard, best),
        score_thirds(evaluation, run, score.checkpoint),
        {name: sha256_file(run.folder / name) for name in (CONFIG, LEADERBOARD)},
    )
    write_winner(run, winner)
    return winner


def _compare_baselines(
    state: SearchState, leaderboard: Leaderboard, best: Entry
) -> tuple[list[Entry], Lead | None]:
    """Estimate the difference of the baselines from the cross-fitted choice of the listeners.

    The test part, which chose nothing, scores the winner.

    Returns:
        The baselines; the best baseline, and the lead over a cross-fitted choice of baselines, as
            the best of several on the same listeners looks better than it is.
    """
    evaluation = state.evaluation
    scored = [entry for entry in leaderboard.baselines if entry.score.metrics]

    def read(entries: Sequence[Entry], evaluation: Evaluation) -> FloatArray:
        steps = (entry.score.checkpoint for entry in entries)
        return np.stack([evaluation.read_listeners(state.run, step) for step in steps])

    if not scored:
        return leaderboard.baselines, None
    choices = read(leaderboard.candidates, evaluation)
    rules = read(scored, evaluation)
    parts = np.stack(
        [
            *(
                cross_fit(models, _FOLDS, evaluation.seed)
                for models in (choices, rules)
            ),
            *rules,
        ]
    )
    if evaluation.validation.test_share:
        on_test = read([best, scored[0], *scored], replace(evaluation, is_test=True))
        parts = np.concatenate([parts, on_test], axis=2)
    chooser, *behind = leads(parts)
    rest = iter(behind)
    baselines = [
        replace(entry, behind=next(rest) if entry in scored else None)
        for entry in leaderboard.baselines
    ]
    return baselines, (scored[0].trial.id, chooser.scaled(-1))


def _explain(
    state: SearchState, best: Entry, lead: Lead | None, listeners: int
) -> list[str]:
    """Describe the expansion of the space, and the winner's lead, unplayed tracks and re-ranking.

    Args:
        state: The search.
        best: The winner.
        lead: Its lead over the baselines, if any has a score.
        listeners: Number of listeners whose scores chose it.
    """
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
    metrics = best.score.metrics
    k = max(state.evaluation.validation.ks)
    unplayed = metrics.get(f"unplayed_precision@{k}")
    if unplayed and unplayed.value:
        share = unplayed.value / metrics[f"precision@{k}"].value
        texts.append(
            f"{share:.1%} of the winner's hits are of tracks that nobody had played in "
            "training; the catalogue has them"
        )
    if price := metrics.get(f"price_{state.select}"):
        plain, changed = (
            metrics[f"{name}@{k}"].value for name in ("artists", "reranked_artists")
        )
        texts.append(
            f"Re-ranking costs {price.value:.4f} of {state.select} ({price.lower:.4f} to "
            f"{price.upper:.4f}); the artists of a list go from {plain:.1f} to {changed:.1f}"
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
