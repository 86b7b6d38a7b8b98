"""Fitting and scoring: what runs on a worker, a step at a time.

Plain functions, addresses in and a few numbers out. A step takes a fit from its last checkpoint to the next scored
sweep, so a worker that dies takes no more than the step with it. Whatever a step leaves in the run is there whole or
not at all, and the same however often the step is run::

    checkpoints/<trial>.npz                  the state of the fit after the last step
    listeners/<scorer>/<trial>-<sweep>.npz   what each listener adds to the metrics that fits are compared by, under
                                             their keys; lists of a few listeners (example_rows, example_lists)
"""

import time

import numpy as np

from looplib.files import atomic_write
from looplib.memory import peak_bytes, reset_peak
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import open_dataset
from recsys.models.kinds import KINDS, Model, State, factors_of
from recsys.models.topk import example_listeners
from recsys.runs.folder import CHECKPOINTS, checkpoint_name, listeners_name
from recsys.runs.scores import Checkpoint, Score
from recsys.runs.trials import Trial
from recsys.scoring.scorer import Scorer, score_lists
from recsys.workspace import Workspace, open_workspace


def run_step(trial: Trial, checkpoint: Checkpoint, scorer: Scorer, address: str) -> Score:
    """Fit a trial as far as a checkpoint, and score it.

    Raises:
        TrialError: The fit cannot go on.
        MemoryError: It does not fit into memory.
    """
    reset_peak()
    run = open_workspace(address)
    dataset = open_dataset(scorer.dataset)
    began = time.perf_counter()
    model = KINDS[trial.kind](dataset, "train", trial.params, trial.seed, scorer.threads)
    fit_s = _restore(model, run, trial, checkpoint.sweep) if checkpoint.sweep else 0.0
    if model.sweeps < checkpoint.sweep:
        model.sweep(checkpoint.sweep - model.sweeps)
        fit_s += time.perf_counter() - began
        _keep(model.state(), run, trial, fit_s)
    began = time.perf_counter()
    lists = model.lists(max(scorer.validation.ks), filter_seen=scorer.validation.filter_seen)
    scored = score_lists(scorer, lists)
    rows, name = example_listeners(dataset), listeners_name(scorer, trial, checkpoint.sweep)
    with atomic_write(run.folder / name) as file:
        np.savez(file, allow_pickle=False, example_rows=rows, example_lists=lists[rows], **scored.listeners)
    run.upload(name)
    score_s = round(time.perf_counter() - began, 3)
    return Score(checkpoint, scored.metrics, round(fit_s, 3), score_s, peak_bytes(), scored.warnings)


def fit_in_blocks(cluster: Cluster, trial: Trial, checkpoint: Checkpoint, scorer: Scorer, address: str) -> None:
    """Take a trial's fit to a checkpoint across all workers; the step that is run next finds nothing left to fit.

    Raises:
        TrialError: The fit cannot go on.
        WorkerDiedError: The workers that ran a block died.
        SearchError: The scheduler is lost, or there has been no worker for a while.
    """
    began = time.perf_counter()
    run = open_workspace(address)
    kept = _kept(run, trial)
    if kept is not None and kept["sweeps"] >= checkpoint.sweep:
        return
    blocks = cut_blocks(cluster, open_dataset(scorer.dataset), "train", run.sub(f"{CHECKPOINTS}/tracks"))
    folder = run.sub(f"{CHECKPOINTS}/{trial.id}")
    fit = fit_blocks(cluster, blocks, trial.params, trial.seed, checkpoint.sweep, folder)
    before_s = float(kept["fit_s"]) if kept is not None else 0.0
    _keep(factors_of(fit), run, trial, before_s + time.perf_counter() - began)


def _restore(model: Model, run: Workspace, trial: Trial, sweep: int) -> float:
    """Take up a fit that has not gone beyond a sweep; returns the seconds that it took so far."""
    kept = _kept(run, trial)
    if kept is None or kept["sweeps"] > sweep:
        return 0.0
    model.restore(kept)
    return float(kept["fit_s"])


def _kept(run: Workspace, trial: Trial) -> State | None:
    """Return the state of a fit at its last checkpoint."""
    name = checkpoint_name(trial)
    run.download(name)
    if not (run.folder / name).exists():
        return None
    with np.load(run.folder / name) as kept:
        return dict(kept)


def _keep(state: State, run: Workspace, trial: Trial, fit_s: float) -> None:
    """Write the state of a fit, with the seconds that it took; another machine may take it up."""
    name = checkpoint_name(trial)
    with atomic_write(run.folder / name) as file:
        np.savez(file, allow_pickle=False, fit_s=fit_s, **state)
    run.upload(name)
    run.evict(name)
