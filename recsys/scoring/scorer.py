"""How everything in a search is judged: top-k lists in, metrics with intervals out, and what each listener adds.

A metric is known by its key alone ("ndcg@30"): whatever scorers fits adds its keys to `ListMetrics.metrics`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
import pyarrow as pa

from analysis.validation.validator import Validator
from looplib.arrays import FloatArray, Int32Array, IntArray
from recsys.config import OPE_TIME, ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.errors import SearchError
from recsys.models.topk import NO_TRACK
from recsys.scoring.off_policy import Heard, Interval, ListeningTime, check_choice, open_listening_time


@dataclass(frozen=True)
class Scorer:
    """What is judged by: the same held-out listening and the same resamples for everything in a search.

    Attributes:
        dataset: The dataset's address, which ends with its digest.
        validation: How lists are scored.
        seed: Decides the resamples.
        threads: Threads of a fit and of a score; they change no result.
    """

    dataset: str
    validation: ValidationConfig
    seed: int
    threads: int

    @property
    def digest(self) -> str:
        """Digest of all that a scored follows from: equal digests mean comparable judgements."""
        facts = {
            "dataset": self.dataset.rpartition("/")[2],
            "validation": self.validation.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


@dataclass(frozen=True)
class ListMetrics:
    """What lists are worth.

    Attributes:
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval.
        warnings: Metric key to why nothing should be concluded from it; only of those of which that is so.
        listeners: Numerator and denominator for each listener by whom fits are compared in pairs, shape (2, listeners),
            of the choosing metric where it is a ratio of sums over listeners, and of the listening times.
    """

    metrics: dict[str, Interval]
    warnings: dict[str, str]
    listeners: dict[str, FloatArray]


def score_lists(scorer: Scorer, lists: Int32Array) -> ListMetrics:
    """Scores a list for each listener of the dataset; shape (listeners, at most the deepest cut-off)."""
    validator = validator_for(scorer)
    missing = max(scorer.validation.ks) - lists.shape[1]  # of a catalogue smaller than the deepest metric
    padded = np.pad(lists.astype(np.int64), ((0, 0), (0, max(missing, 0))), constant_values=NO_TRACK)
    users, select = np.arange(len(lists)), scorer.validation.select
    listeners = {}
    if scorer.validation.select_is_of_listeners and not select.startswith(f"{OPE_TIME}@"):
        validation, listeners[select] = validator.score_with_ratio(users, padded, select)
    else:
        validation = validator.score(users, padded)
    metrics = {metric.key: (metric.value, metric.lower, metric.upper) for metric in validation.metrics}
    heard = estimate_lists(scorer, padded)
    if heard is None:
        return ListMetrics(metrics, {}, listeners)
    return ListMetrics(metrics | heard.metrics, heard.warnings, listeners | heard.listeners)


def estimate_lists(scorer: Scorer, lists: IntArray) -> Heard | None:
    """What lists are worth by the off-policy estimate; None where the log says no propensity.

    Args:
        scorer: By what.
        lists: A list for each listener, filled up with -1; shape (listeners, the deepest cut-off).
    """
    listening_time = listening_time_for(scorer)
    return listening_time.value(np.arange(len(lists)), lists) if listening_time else None


def check_scorers(scorers: Iterable[Scorer], catalogue: int | None) -> None:
    """Refuses scorers that cannot choose as they are told to, before anything is fitted.

    Args:
        scorers: Those of a search.
        catalogue: Tracks of the catalogue; None where it is not known.

    Raises:
        SearchError: The log does not allow it.
    """
    for scorer in scorers:
        policy = scorer.validation.logging_policy
        if policy != "logged" and catalogue is None:
            raise SearchError(
                f"validation.logging_policy is {policy}, and the store does not know how many tracks there are: none "
                "of its logs came with a collection.json; ingest with one, or use logging_policy: logged"
            )
        if scorer.validation.select.startswith(f"{OPE_TIME}@"):
            dataset, depth = open_dataset(scorer.dataset), max(scorer.validation.ks)
            ranking = dataset.most_popular("train", depth).astype(np.int64)
            lists = np.tile(ranking, (len(dataset.users), 1))
            check_choice(scorer.validation.select, estimate_lists(scorer, lists))


@lru_cache(maxsize=2)
def listening_time_for(scorer: Scorer) -> ListeningTime | None:
    """The process's off-policy scorer, likewise."""
    dataset = open_dataset(scorer.dataset)
    return open_listening_time(
        dataset.logged,
        logging_policy=scorer.validation.logging_policy,
        tracks=dataset.summary.tracks,
        ks=scorer.validation.ks,
        resamples=scorer.validation.resamples,
        seed=scorer.seed,
    )


@lru_cache(maxsize=2)
def validator_for(scorer: Scorer) -> Validator:
    """The process's validator: reading the held-out listening takes longer than a score."""
    dataset = open_dataset(scorer.dataset)
    popularity = dataset.popularity()
    return Validator(
        dataset.heldout,
        pa.table({"track": np.arange(len(popularity)), "listeners": popularity}),
        catalogue_size=dataset.summary.tracks,
        training_listeners=dataset.summary.training_listeners,
        ks=scorer.validation.ks,
        min_time=scorer.validation.min_time,
        resamples=scorer.validation.resamples,
        seed=scorer.seed,
        threads=scorer.threads,
    )
