"""Fitting and scoring: what runs on a worker, a step at a time.

Plain functions, addresses in and a few numbers out. A step takes a fit from its last checkpoint to the next scored
sweep, so a worker that dies takes no more than the step with it. Whatever a step leaves in the run is there whole or
not at all, and the same however often the step is run::

    checkpoints/<trial>.npz                  the state of the fit after the last step
    listeners/<scorer>/<trial>-<sweep>.npz   what each listener adds to the metrics that fits are compared by, under
                                             their keys; lists of a few listeners (example_rows, example_lists)
"""

import time
from contextlib import suppress

import numpy as np

from looplib.files import atomic_write
from looplib.memory import peak_bytes, reset_peak
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import open_dataset
from recsys.models.kinds import KINDS, State, factors_of
from recsys.models.topk import example_listeners
from recsys.runs.folder import CHECKPOINTS, checkpoint_name, listeners_name
from recsys.runs.ledger import Score
from recsys.runs.trials import Trial
from recsys.scoring.scorer import Scorer, score_lists
from recsys.workspace import Workspace, open_workspace


def run_step(trial: Trial, sweep: int, scorer: Scorer, address: str) -> Score:
    """Fit a trial up to a sweep, and score it; a TrialError says that the fit cannot go on."""
    reset_peak()
    run = open_workspace(address)
    dataset = open_dataset(scorer.dataset)
    began, fit_s = time.perf_counter(), 0.0
    model = KINDS[trial.kind](dataset, "train", trial.params, trial.seed, scorer.threads)
    kept = _kept(run, trial) if sweep else None
    if kept is not None and kept["sweeps"] <= sweep:
        model.restore(kept)
        fit_s = float(kept["fit_s"])
    if model.sweeps < sweep:
        model.sweep(sweep - model.sweeps)
        fit_s += time.perf_counter() - began
        _keep(model.state(), run, trial, fit_s)
    lists = model.lists(max(scorer.validation.ks), filter_seen=scorer.validation.filter_seen)
    scored = score_lists(scorer, lists)
    rows, name = example_listeners(dataset), listeners_name(scorer, trial, sweep)
    with atomic_write(run.folder / name) as file:
        np.savez(file, allow_pickle=False, example_rows=rows, example_lists=lists[rows], **scored.listeners)
    run.upload(name)
    return Score(sweep, scored.metrics, round(fit_s, 3), peak_bytes(), scored.warnings)


def fit_in_blocks(cluster: Cluster, trial: Trial, sweep: int, scorer: Scorer, address: str) -> None:
    """Take a trial's fit up to a sweep across all workers; the step that is run next finds nothing left to fit."""
    began = time.perf_counter()
    run = open_workspace(address)
    kept = _kept(run, trial)
    if kept is not None and kept["sweeps"] >= sweep:
        return
    blocks = cut_blocks(cluster, open_dataset(scorer.dataset), "train", run.sub(f"{CHECKPOINTS}/tracks"))
    folder = run.sub(f"{CHECKPOINTS}/{trial.id}")
    fit = fit_blocks(cluster, blocks, trial.params, trial.seed, sweep, folder)
    before_s = float(kept["fit_s"]) if kept is not None else 0.0
    _keep(factors_of(fit), run, trial, before_s + time.perf_counter() - began)


def _kept(run: Workspace, trial: Trial) -> State | None:
    """Return the state of a fit at its last checkpoint; None without one, or where it is damaged."""
    name = checkpoint_name(trial)
    run.download(name)
    with suppress(Exception), np.load(run.folder / name) as kept:  # a damaged file makes NumPy raise any kind
        return dict(kept)
    return None


def _keep(state: State, run: Workspace, trial: Trial, fit_s: float) -> None:
    """Write the state of a fit, with the seconds that it took; another machine may take it up."""
    name = checkpoint_name(trial)
    with atomic_write(run.folder / name) as file:
        np.savez(file, allow_pickle=False, fit_s=fit_s, **state)
    run.upload(name)
    run.evict(name)
