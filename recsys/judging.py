"""How everything in a search is judged: top-k lists in, metrics with intervals out, and what each listener adds.

A metric is known by its key alone ("ndcg@30"): whatever judges fits adds its keys to `Judgement.metrics`.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from analysis.validation import Validator
from recsys.config import ValidationConfig
from recsys.dataset import open_dataset
from recsys.models.ranking import NO_TRACK, Columns

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Judge:
    """What is judged by: the same held-out listening and the same resamples for everything in a search.

    Attributes:
        dataset: The dataset's folder, named by its digest.
        validation: How lists are scored.
        seed: Decides the resamples.
        threads: Threads of a fit and of a score; they change no result.
    """

    dataset: Path
    validation: ValidationConfig
    seed: int
    threads: int

    @property
    def digest(self) -> str:
        """Digest of all that a judgement follows from: equal digests mean comparable judgements."""
        facts = {
            "dataset": self.dataset.name,
            "validation": self.validation.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


@dataclass(frozen=True)
class Judgement:
    """What lists are worth.

    Attributes:
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval.
        listeners: Numerator and denominator of the choosing metric for each validated listener, shape (2, listeners);
            no listeners where it is not a ratio of sums over them.
    """

    metrics: dict[str, Interval]
    listeners: Floats


def judge_lists(judge: Judge, lists: Columns) -> Judgement:
    """Scores a list for each listener of the dataset; shape (listeners, at most the deepest cut-off)."""
    validator = validator_for(judge)
    missing = max(judge.validation.ks) - lists.shape[1]  # of a catalogue smaller than the deepest metric
    padded = np.pad(lists.astype(np.int64), ((0, 0), (0, max(missing, 0))), constant_values=NO_TRACK)
    users, select = np.arange(len(lists)), judge.validation.select
    if judge.validation.select_is_of_listeners:
        validation, listeners = validator.score_with_ratio(users, padded, select)
    else:
        validation, listeners = validator.score(users, padded), np.empty((2, 0))
    return Judgement(
        {metric.key: (metric.value, metric.lower, metric.upper) for metric in validation.metrics}, listeners
    )


@lru_cache(maxsize=2)
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
