"""Fit and score a trial on a worker, a step at a time.

Plain functions, addresses in and a few numbers out. A step takes a fit from its last checkpoint to
the next scored iteration, so a worker that dies costs no more than a step. The files that a step
leaves in the run are there whole or not at all, and the same however often the step runs::

    checkpoints/<trial>-<iteration>.npz          the fit after a scored iteration, the best and the
                                                 latest
    checkpoints/<trial>/                         the factors of the last iteration of a fit in
                                                 blocks
    listeners/<scorer>/<trial>-<iteration>.npz   the listeners' parts of the metric that fits are
                                                 compared by, and lists of a few
"""

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from analysis.errors import AnalysisError
from analysis.statistics.effects import Interval
from looplib.arrays import NO_TRACK, Int32Array
from recsys.blockwise import Files, is_cut, plan_blocks, read_state
from recsys.cluster.cluster import Cluster, Plan
from recsys.cluster.lifetime import run_within
from recsys.cluster.processes import call_threads
from recsys.dataset.dataset import open_dataset
from recsys.errors import TrialTimeoutError
from recsys.models.base import IterativeModel, Model, State
from recsys.models.factors import Pool
from recsys.models.trial import Checkpoint, fit_trial
from recsys.search.comparison import leads
from recsys.search.evaluation import (
    EXAMPLES,
    SEGMENTS,
    Evaluation,
    choose_examples,
    score_lists,
    validator_for,
)
from recsys.search.ledger import Score
from recsys.storage import Workspace, open_workspace


def run_step(
    checkpoint: Checkpoint,
    evaluation: Evaluation,
    address: str,
    start: int = 0,
    is_whole: bool = False,
    shipped: bytes | None = None,
) -> Score:
    """Fit a trial up to a checkpoint and score it, by every metric or by the choosing metric.

    A score by every metric covers the listeners who choose nothing, too.
    The fit goes on from the checkpoint after the iteration `start`, if any. `shipped` is
    the pickled class of the model, if workers cannot import it.
    """
    run = open_workspace(address)
    model, fit_s = _fit(checkpoint, evaluation, run, start, shipped)
    k = max(evaluation.validation.ks)
    pool = evaluation.validation.pool
    select = evaluation.validation.select
    listeners = evaluation.listeners if is_whole else validator_for(evaluation).users
    by_pool: dict[Pool, Int32Array] = {}
    if is_whole and pool == "all":
        by_pool = model.recommend_pools(k, listeners)
        lists = by_pool["all"]
    else:
        lists = model.recommend(k, pool, listeners)
    score = partial(score_lists, is_whole=is_whole, listeners=listeners)
    metrics, added = score(evaluation, lists)
    examples = {EXAMPLES: choose_examples(evaluation, lists)} if is_whole else {}
    _write({select: added, **examples}, run, evaluation.listeners_file(checkpoint))
    unplayed = np.flatnonzero(model.train.popularity == 0)
    if is_whole and len(unplayed):
        key = f"precision@{k}"
        listed = np.where(np.isin(lists, unplayed), lists, NO_TRACK)
        rows = np.arange(len(lists)) if listeners is None else listeners
        scored = validator_for(evaluation).score(rows, listed, key)
        metrics[f"unplayed_{key}"] = scored.metrics[key]
    test: dict[str, Interval] = {}
    for segment in SEGMENTS if by_pool else ():
        with suppress(AnalysisError):  # no held-out track is in the segment
            pool_lists = by_pool[segment]
            metrics |= score(evaluation, pool_lists, pool=segment)[0]
    if is_whole and evaluation.rerank.is_on:
        deep = model.recommend(evaluation.rerank.depth(k), pool, listeners)
        reranked = model.diversify(deep, k, evaluation.rerank)
        changed, parts = score(evaluation, reranked)
        metrics |= {f"reranked_{key}": value for key, value in changed.items()}
        (lead,) = leads(np.stack([added, parts]))
        metrics[f"price_{select}"] = lead.scaled(-1)
    if is_whole and evaluation.validation.test_share:
        on_test = replace(evaluation, is_test=True)
        test, added = score(on_test, lists)
        _write({select: added}, run, on_test.listeners_file(checkpoint))
    return Score(
        checkpoint.trial,
        checkpoint.iteration,
        evaluation.digest,
        metrics,
        round(fit_s, 3),
        test,
    )


def _fit(
    checkpoint: Checkpoint,
    evaluation: Evaluation,
    run: Workspace,
    start: int,
    shipped: bytes | None,
) -> tuple[Model, float]:
    """Fit a trial up to a checkpoint; return the model and the CPU seconds of the fit."""
    checkpoint.trial.model_type.load_kernels()
    state = _read_latest(run, checkpoint, start)
    began = time.process_time()
    dataset = open_dataset(evaluation.dataset)
    model = fit_trial(
        checkpoint, dataset, "training", call_threads(), state, shipped=shipped
    )
    fit_s = float(state["fit_s"]) if state else 0.0
    if not isinstance(model, IterativeModel):
        return model, time.process_time() - began
    if model.state is not state:
        fit_s += time.process_time() - began
        _write({**model.state, "fit_s": fit_s}, run, checkpoint.file)
    return model, fit_s


def plan_step(
    cluster: Cluster,
    checkpoint: Checkpoint,
    evaluation: Evaluation,
    address: str,
    start: int,
    *rest: Any,  # noqa: ANN401  of `run_step`
    minutes: float | None,
) -> Plan[Score]:
    """Plan a call of `run_step`; a large fit is taken to its checkpoint across workers before.

    Raises:
        TrialTimeoutError: It takes longer than the limit.
    """
    dataset = open_dataset(evaluation.dataset)
    trial = checkpoint.trial
    began = time.perf_counter()

    def check_time(_: float) -> None:
        if minutes and time.perf_counter() - began > 60 * minutes:
            raise TrialTimeoutError(
                f"a step took longer than {minutes:g} search.trial_minutes"
            )

    fit = (checkpoint, evaluation, address, start)
    if start < checkpoint.iteration and is_cut(
        cluster.config, trial, dataset, "training"
    ):
        files = yield from plan_blocks(
            cluster.slots(),
            dataset,
            "training",
            trial.config,
            trial.seed,
            checkpoint.iteration,
            open_workspace(address).sub(trial.blocks_folder),
            check_time,
        )
        fit_s = time.perf_counter() - began
        yield [(collect, checkpoint, address, start, files, fit_s)]
    score: Score
    (score,) = yield [(run_within, minutes, run_step, *fit, *rest)]
    return score


def collect(
    checkpoint: Checkpoint, address: str, start: int, files: Files, fit_s: float
) -> None:
    """Make a checkpoint of the files of a fit in blocks."""
    run = open_workspace(address)
    earlier = _read_latest(run, checkpoint, start)
    if earlier and earlier["iterations"] == checkpoint.iteration:
        return
    fit_s += float(earlier["fit_s"]) if earlier else 0.0
    state = read_state(run.sub(checkpoint.trial.blocks_folder), files)
    _write({**state, "fit_s": fit_s}, run, checkpoint.file)


def _read_latest(run: Workspace, checkpoint: Checkpoint, start: int) -> State | None:
    """Read the state at a checkpoint, or else after the iteration `start`; None if there is none.

    A damaged file counts as missing.
    """
    iterations = dict.fromkeys((checkpoint.iteration, start))
    for iteration in filter(None, iterations):
        name = Checkpoint(checkpoint.trial, iteration).file
        run.download(name)
        # NumPy raises errors of any kind for a damaged file
        with suppress(Exception), np.load(run.folder / name) as arrays:
            return dict(arrays)
    return None


def _write(arrays: State, run: Workspace, name: str) -> None:
    with run.create(name) as file:
        np.savez(file, **arrays)
    run.evict(name)
