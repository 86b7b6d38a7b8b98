"""Fitting and scoring: what runs on a worker, a step at a time.

Plain functions, paths in and a few numbers out. A step takes a fit from its checkpoint to the next scored sweep, so a
worker that dies takes no more than the step with it. Whatever a step leaves on the disk is there whole or not at all,
and the same however often the step is run::

    checkpoints/<trial>.npz                  the factors after the last step
    listeners/<scorer>/<entry>-<sweep>.npz    what each listener adds to the metrics that fits are compared by, under
                                             their keys; lists of a few listeners (example_rows, example_lists)
"""

import time

import numpy as np

from looplib.arrays import Int32Array
from looplib.files import atomic_write
from looplib.memory import forget_peak, peak_bytes
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.models.als import Als
from recsys.models.baselines import random_lists, unseen
from recsys.models.params import Fit
from recsys.runs.folder import checkpoint_name, listeners_name
from recsys.runs.scores import Baseline, Score, Step
from recsys.runs.trials import Trial
from recsys.scoring.examples import example_listeners
from recsys.scoring.lists import personal_lists
from recsys.scoring.scorer import Scorer, score_lists
from recsys.workspace import Workspace, open_workspace


def run_step(step: Step, scorer: Scorer, address: str) -> Score:
    """Fits as far as the step goes, and scores.

    Args:
        step: What to do.
        scorer: How to score it; of the step's share of the listeners.
        address: Address of the run.

    Raises:
        TrialError: The fit cannot go on.
        MemoryError: It does not fit into memory.
    """
    forget_peak()
    run = open_workspace(address)
    dataset = open_dataset(scorer.dataset)
    began = time.perf_counter()
    if isinstance(step.entry, Trial):
        kept_in = run if step.point.listeners == 1 else None
        model, fit_s = _fit(step.entry, step.point.sweep, dataset, scorer.threads, kept_in)
        began = time.perf_counter()
        depth, filter_seen = max(scorer.validation.ks), scorer.validation.filter_seen
        lists = personal_lists(model, dataset, "train", depth, scorer.threads, filter_seen=filter_seen)
    else:
        fit_s = 0.0
        lists = _baseline_lists(step.entry, dataset, scorer)
    scored = score_lists(scorer, lists)
    if step.point.listeners == 1:
        rows = example_listeners(dataset)
        name = listeners_name(scorer, step.entry, step.point.sweep)
        with atomic_write(run.folder / name) as file:
            np.savez(file, allow_pickle=False, example_rows=rows, example_lists=lists[rows], **scored.listeners)
        run.upload(name)
    score_s = round(time.perf_counter() - began, 3)
    return Score(step.point, scored.metrics, round(fit_s, 3), score_s, peak_bytes(), scored.warnings)


def keep_fit(model: Fit, run: Workspace, trial: Trial, fit_s: float) -> None:
    """Write the checkpoint of a fit, with the seconds that it took; another machine may take it up."""
    name = checkpoint_name(trial)
    with atomic_write(run.folder / name) as file:
        np.savez(
            file,
            sweeps=model.sweeps,
            fit_s=fit_s,
            user_factors=model.user_factors,
            item_factors=model.item_factors,
        )
    run.upload(name)
    run.evict(name)


def _fit(trial: Trial, sweep: int, dataset: Dataset, threads: int, run: Workspace | None) -> tuple[Als, float]:
    """The fit after so many sweeps, and its seconds; taken up from a checkpoint and kept in one, where there is one."""
    began = time.perf_counter()
    model = Als(dataset.matrix("train"), trial.params, trial.seed, threads, dataset.skips("train"))
    fit_s = _restore(model, run, trial, sweep) if run else 0.0
    if model.sweeps < sweep:
        model.sweep(sweep - model.sweeps)
        fit_s += time.perf_counter() - began
        if run:
            keep_fit(model, run, trial, fit_s)
    return model, fit_s


def _restore(model: Als, run: Workspace, trial: Trial, sweep: int) -> float:
    """Takes up a fit that has not gone beyond the sweep; returns the seconds it took so far."""
    name = checkpoint_name(trial)
    run.download(name)
    if not (run.folder / name).exists():
        return 0.0
    with np.load(run.folder / name) as kept:
        if kept["sweeps"] > sweep:
            return 0.0
        model.restore(kept["user_factors"], kept["item_factors"], int(kept["sweeps"]))
        return float(kept["fit_s"])


def _baseline_lists(name: Baseline, dataset: Dataset, scorer: Scorer) -> Int32Array:
    listeners, tracks = len(dataset.users), len(dataset.tracks)
    depth = max(scorer.validation.ks)
    length = 2 * depth if scorer.validation.filter_seen else depth
    if name == "popular":
        ranking = dataset.most_popular("train", tracks if scorer.validation.filter_seen else length)
        lists = np.broadcast_to(ranking, (listeners, len(ranking)))
    else:
        lists = random_lists(listeners, tracks, length, make_generator(scorer.seed, "random baseline"))
    return unseen(lists, dataset.matrix("train"), depth) if scorer.validation.filter_seen else lists
