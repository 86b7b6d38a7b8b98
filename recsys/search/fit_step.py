"""Fit and score: what runs on a worker, a step at a time.

Plain functions, addresses in and a few numbers out. A step takes a fit from its last checkpoint to
the next scored sweep, so a worker that dies takes no more than the step with it. Whatever a step
leaves in the run is there whole or not at all, and the same however often the step is run::

    checkpoints/<trial>.npz                  the fit after the last step
    checkpoints/<trial>/                     of a fit in blocks, the factors of the last sweep
    lists/<scorer>/<trial>-<sweep>.npz       the lists; what is left at the end is scored by all
                                             metrics
    listeners/<scorer>/<trial>-<sweep>.npz   what each listener adds to the metrics that fits are
                                             compared by
"""

import time
from contextlib import suppress

import numpy as np

from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import open_dataset
from recsys.models.kinds import KINDS, State
from recsys.runs.folder import (
    CHECKPOINTS,
    blocks_name,
    checkpoint_name,
    listeners_name,
    lists_name,
)
from recsys.runs.ledger import Score
from recsys.runs.trials import Trial
from recsys.scoring import Scorer, score_lists
from recsys.workspace import Workspace, open_workspace


def run_step(
    trial: Trial, sweep: int, scorer: Scorer, address: str, is_whole: bool = False
) -> Score:
    """Fit a trial up to a sweep and score it, by every metric or by the one that chooses."""
    run = open_workspace(address)
    name = lists_name(scorer, trial, sweep)
    made = _read(run, name) if is_whole else None
    if made is None:
        made = _fit(trial, sweep, scorer, run)
        _write(made, run, name)
    lists = made["lists"]
    scored = score_lists(scorer, lists, is_whole=is_whole)
    if not scorer.is_test:
        _write(scored.listeners, run, listeners_name(scorer, trial, sweep))
    return Score(sweep, scored.metrics, float(made["fit_s"]), scored.warnings)


def _fit(trial: Trial, sweep: int, scorer: Scorer, run: Workspace) -> State:
    """Fit a trial up to a sweep; return its lists and the seconds of the fit."""
    dataset = open_dataset(scorer.dataset)
    began = time.perf_counter()
    kept = _read(run, checkpoint_name(trial.id)) if sweep else None
    if kept is not None and kept["sweeps"] > sweep:
        kept = None
    fit_s = float(kept["fit_s"]) if kept else 0.0
    model = KINDS[trial.kind](
        dataset, "train", trial.params, trial.seed, scorer.threads, kept
    )
    if model.sweeps < sweep:
        model.sweep(sweep - model.sweeps)
        fit_s += time.perf_counter() - began
        _write({"fit_s": fit_s, **model.state()}, run, checkpoint_name(trial.id))
    lists = model.lists(
        max(scorer.validation.ks), filter_seen=scorer.validation.filter_seen
    )
    return {"lists": lists, "fit_s": round(fit_s, 3)}


def fit_in_blocks(
    cluster: Cluster, trial: Trial, sweep: int, scorer: Scorer, address: str
) -> None:
    """Take a trial's fit up to a sweep across all workers, so that its step has nothing to fit."""
    began = time.perf_counter()
    run = open_workspace(address)
    kept = _read(run, checkpoint_name(trial.id))
    if kept is not None and kept["sweeps"] >= sweep:
        return
    blocks = cut_blocks(
        cluster, open_dataset(scorer.dataset), "train", run.sub(f"{CHECKPOINTS}/tracks")
    )
    folder = run.sub(blocks_name(trial.id))
    fit = fit_blocks(cluster, blocks, trial.params, trial.seed, sweep, folder)
    fit_s = (float(kept["fit_s"]) if kept else 0.0) + time.perf_counter() - began
    _write({"fit_s": fit_s, **vars(fit)}, run, checkpoint_name(trial.id))


def _read(run: Workspace, name: str) -> State | None:
    """Read arrays that an earlier step left; None where it left none, or where they are damaged."""
    run.download(name)
    # NumPy raises errors of any kind for a damaged file
    with suppress(Exception), np.load(run.folder / name) as kept:
        return dict(kept)
    return None


def _write(arrays: State, run: Workspace, name: str) -> None:
    with run.create(name) as file:
        np.savez(file, allow_pickle=False, **arrays)
    run.evict(name)
