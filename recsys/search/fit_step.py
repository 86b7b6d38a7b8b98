"""Fit and score: what runs on a worker, a step at a time.

Plain functions, addresses in and a few numbers out. A step takes a fit from its last checkpoint to
the next scored sweep, so a worker that dies takes no more than the step with it. Whatever a step
leaves in the run is there whole or not at all, and the same however often the step is run::

    checkpoints/<trial>-<sweep>.npz          the fit after a scored sweep, the best and the latest
    checkpoints/<trial>/                     of a fit in blocks, the factors of the last sweep
    listeners/<scorer>/<trial>-<sweep>.npz   what each listener adds to the metrics that fits are
                                             compared by
"""

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np

from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import open_dataset
from recsys.models.als import load_kernels
from recsys.models.factor_models import Als
from recsys.models.kinds import KINDS
from recsys.models.model import Model, State
from recsys.runs.folder import (
    blocks_name,
    checkpoint_name,
    listeners_name,
)
from recsys.runs.ledger import Score
from recsys.runs.trials import Trial
from recsys.scoring import Scorer, score_lists, score_segments
from recsys.workspace import Workspace, open_workspace


def run_step(
    trial: Trial,
    sweep: int,
    scorer: Scorer,
    address: str,
    start: int = 0,
    is_whole: bool = False,
) -> Score:
    """Fit a trial up to a sweep and score it, by every metric or by the one that chooses.

    A score by every metric is of the listeners who choose nothing, too.
    The fit goes on from the checkpoint after the sweep `start`, if there is one.
    """
    run = open_workspace(address)
    began = time.process_time()
    model, fit_s = _fit(trial, sweep, scorer, run, start)
    k = max(scorer.validation.ks)
    pools = scorer.pools if is_whole else scorer.pools[:1]
    lists = {pool: model.lists(k, pool) for pool in pools}
    if not trial.takes_sweeps:
        fit_s = time.process_time() - began
    scored = score_lists(scorer, lists[pools[0]], is_whole=is_whole)
    _write(scored.listeners, run, listeners_name(scorer, trial, sweep))
    segments = {pool: lists[pool] for pool in pools[1:]}
    metrics = scored.metrics | score_segments(scorer, segments)
    test = {}
    if is_whole and scorer.validation.test_share:
        on_test = replace(scorer, is_test=True)
        found = score_lists(on_test, lists[pools[0]], is_whole=True)
        _write(found.listeners, run, listeners_name(on_test, trial, sweep))
        test = found.metrics
    return Score(sweep, metrics, round(fit_s, 3), scored.warnings, test)


def _fit(
    trial: Trial,
    sweep: int,
    scorer: Scorer,
    run: Workspace,
    start: int,
) -> tuple[Model, float]:
    """Fit a trial up to a sweep; return the model and the CPU seconds of the fit."""
    dataset = open_dataset(scorer.dataset)
    kept = _read(run, checkpoint_name(trial.id, sweep))
    if kept is None and start:
        kept = _read(run, checkpoint_name(trial.id, start))
    if trial.kind == Als.name:
        load_kernels()  # once in a process, and no part of a fit
    began = time.process_time()
    fit_s = float(kept["fit_s"]) if kept else 0.0
    model = KINDS[trial.kind](
        dataset, "training", trial.params, trial.seed, scorer.threads, kept
    )
    if model.sweeps < sweep:
        model.sweep(sweep - model.sweeps)
        fit_s += time.process_time() - began
        state = {"fit_s": fit_s, **model.state()}
        _write(state, run, checkpoint_name(trial.id, sweep))
    return model, fit_s


def fit_in_blocks(
    cluster: Cluster,
    trial: Trial,
    sweep: int,
    scorer: Scorer,
    address: str,
    start: int = 0,
) -> None:
    """Take a trial's fit up to a sweep across all workers, so that its step has nothing to fit."""
    began = time.perf_counter()
    run = open_workspace(address)
    if _read(run, checkpoint_name(trial.id, sweep)):
        return
    kept = _read(run, checkpoint_name(trial.id, start)) if start else None
    blocks = cut_blocks(cluster, open_dataset(scorer.dataset), "training")
    folder = run.sub(blocks_name(trial.id))
    fit = fit_blocks(cluster, blocks, trial.params, trial.seed, sweep, folder)
    fit_s = (float(kept["fit_s"]) if kept else 0.0) + time.perf_counter() - began
    _write({"fit_s": fit_s, **vars(fit)}, run, checkpoint_name(trial.id, sweep))


def _read(run: Workspace, name: str) -> State | None:
    """Read arrays that an earlier step left; None where it left none, or where they are damaged."""
    run.download(name)
    # NumPy raises errors of any kind for a damaged file
    with suppress(Exception), np.load(run.folder / name) as kept:
        return dict(kept)
    return None


def _write(arrays: State, run: Workspace, name: str) -> None:
    with run.create(name) as file:
        np.savez(file, **arrays)
    run.evict(name)
