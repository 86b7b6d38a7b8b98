"""Fitting and scoring: what runs on a worker for each trial and each baseline.

Plain functions, a dataset's path in and a few numbers out.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from analysis.validation import Validation, Validator
from common.randomness import make_generator
from recsys.config import ValidationConfig
from recsys.dataset import open_dataset
from recsys.errors import TrialError
from recsys.models.als import Als
from recsys.models.baselines import random_lists
from recsys.models.ranking import NO_TRACK, Columns
from recsys.recommend import personal_lists
from recsys.trials import Trial

Baseline = Literal["random", "popular"]
BASELINES: tuple[Baseline, ...] = ("random", "popular")


@dataclass(frozen=True)
class Judge:
    """How everything in a search is scored: on the same held-out listening, with the same resamples."""

    dataset: Path
    validation: ValidationConfig
    seed: int
    threads: int


@dataclass(frozen=True)
class Score:
    """A model at one moment of its fit.

    Attributes:
        sweep: Sweeps done; 0 for a baseline.
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval.
        fit_s: Seconds since the fit began, scoring aside.
        score_s: Seconds that this score took.
    """

    sweep: int
    metrics: dict[str, tuple[float, float, float]]
    fit_s: float
    score_s: float


@dataclass(frozen=True)
class Scored:
    """What became of a trial or a baseline.

    Attributes:
        scores: One for each scored sweep, in order; those before the fault where it failed.
        error: Why it failed; None if it did not.
    """

    scores: tuple[Score, ...]
    error: str | None = None


def run_entry(entry: Trial | Baseline, sweeps: tuple[int, ...], judge: Judge) -> Scored:
    """Runs a trial or a baseline: whatever a leaderboard has a row for."""
    return run_trial(entry, sweeps, judge) if isinstance(entry, Trial) else run_baseline(entry, judge)


def run_trial(trial: Trial, sweeps: tuple[int, ...], judge: Judge) -> Scored:
    """Fits a trial and scores it after each of `sweeps`; a fit that cannot go on is a failed result, not an error."""
    dataset = open_dataset(judge.dataset)
    scores: list[Score] = []
    fit_s = 0.0
    try:
        model = Als(dataset.matrix("train"), trial.params, trial.seed, judge.threads)
        for sweep in sweeps:
            began = time.perf_counter()
            model.sweep(sweep - model.sweeps)
            fit_s += time.perf_counter() - began
            lists = personal_lists(model, dataset, "train", max(judge.validation.ks), judge.threads)
            scores.append(_score(lists, judge, sweep, fit_s))
    except (TrialError, MemoryError) as error:
        return Scored(tuple(scores), f"{type(error).__name__}: {error}")
    return Scored(tuple(scores))


def run_baseline(name: Baseline, judge: Judge) -> Scored:
    """Scores a baseline."""
    dataset = open_dataset(judge.dataset)
    listeners, tracks = len(dataset.users), len(dataset.tracks)
    depth = max(judge.validation.ks)
    began = time.perf_counter()
    if name == "popular":
        lists = np.tile(dataset.most_popular("train", depth), (listeners, 1))
    else:
        lists = random_lists(listeners, tracks, depth, make_generator(judge.seed, "random baseline"))
    return Scored((_score(lists, judge, 0, time.perf_counter() - began),))


@lru_cache(maxsize=1)
def validator_for(judge: Judge) -> Validator:
    """The process's validator: reading the held-out listening takes longer than a score."""
    dataset = open_dataset(judge.dataset)
    popularity = dataset.popularity()
    return Validator(
        dataset.heldout,
        pa.table({"track": np.arange(len(popularity)), "listeners": popularity}),
        catalogue_size=dataset.summary.tracks,
        training_listeners=dataset.summary.training_listeners,
        ks=judge.validation.ks,
        min_time=judge.validation.min_time,
        resamples=judge.validation.resamples,
        seed=judge.seed,
        threads=judge.threads,
    )


def _score(lists: Columns, judge: Judge, sweep: int, fit_s: float) -> Score:
    began = time.perf_counter()
    missing = max(judge.validation.ks) - lists.shape[1]  # of a catalogue smaller than the deepest metric
    padded = np.pad(lists.astype(np.int64), ((0, 0), (0, max(missing, 0))), constant_values=NO_TRACK)
    validation = validator_for(judge).score(np.arange(len(lists)), padded)
    return Score(sweep, _metrics(validation), fit_s, time.perf_counter() - began)


def _metrics(validation: Validation) -> dict[str, tuple[float, float, float]]:
    return {metric.key: (metric.value, metric.lower, metric.upper) for metric in validation.metrics}
