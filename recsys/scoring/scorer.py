"""Score lists as everything in a search is scored: top-k lists in, metrics with intervals out.

A metric is known by its key alone ("ndcg@30"): another scorer only adds its keys to `ListMetrics.metrics`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.offpolicy import OffPolicy, sessions_of
from analysis.validation.validator import Settings, Validator
from looplib.arrays import Int32Array, IntArray
from looplib.files import digest_of
from recsys.config import OPE_TIME, ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.errors import SearchError
from recsys.models.topk import NO_TRACK
from recsys.scoring.off_policy import ListMetrics, estimate_listening_time


@dataclass(frozen=True)
class Scorer:
    """The same held-out listening and the same resamples for everything in a search."""

    dataset: str  # address, which ends with the dataset's digest
    validation: ValidationConfig
    seed: int  # decides the resamples
    threads: int  # of a fit and of a score; they change no result

    @property
    def digest(self) -> str:
        """Digest of all that a score follows from: scores of equal digests can be compared."""
        validation = self.validation.model_dump(mode="json")
        return digest_of({"dataset": self.dataset.rpartition("/")[2], "validation": validation, "seed": self.seed})[:12]


def score_lists(scorer: Scorer, lists: Int32Array, *, is_whole: bool) -> ListMetrics:
    """Score a list for each listener of the dataset; shape (listeners, at most the largest cut-off).

    `is_whole` asks for every metric, not the choosing one alone.
    """
    ks, select = scorer.validation.ks, scorer.validation.select
    by_time = select.startswith(f"{OPE_TIME}@")
    missing = max(ks) - lists.shape[1]  # of a catalogue smaller than the largest cut-off
    padded = np.pad(lists.astype(np.int64), ((0, 0), (0, max(missing, 0))), constant_values=NO_TRACK)
    users = np.arange(len(lists))
    scored = ListMetrics({}, {}, {})
    if is_whole or not by_time:
        validation = validator_for(scorer).score(users, padded, None if is_whole else select)
        metrics = {key: (metric.value, metric.lower, metric.upper) for key, metric in validation.metrics.items()}
        scored = ListMetrics(metrics, {}, {key: parts for key, parts in validation.ratios.items() if key == select})
    if (is_whole or by_time) and (estimator := _estimator_for(scorer)):
        times = estimate_listening_time(estimator, padded, ks if is_whole else [int(select.partition("@")[2])])
        scored = ListMetrics(scored.metrics | times.metrics, times.warnings, scored.listeners | times.listeners)
    return scored


def check_scorer(scorer: Scorer, catalogue: int | None) -> None:
    """Refuse a scorer that cannot choose as configured, before anything is fitted.

    Raises:
        SearchError: The number of tracks is not known (catalogue None) and matters, or listening time is to choose, and
            no propensity is known, or even the estimate for the popular tracks is inconclusive.
    """
    policy, select = scorer.validation.logging_policy, scorer.validation.select
    if policy != "logged" and catalogue is None:
        raise SearchError(
            f"validation.logging_policy is {policy}, and the store does not know how many tracks there are: none "
            "of its logs came with a collection.json; ingest with one, or use logging_policy: logged"
        )
    if not select.startswith(f"{OPE_TIME}@"):
        return
    estimator = _estimator_for(scorer)
    if estimator is None:
        raise SearchError(
            f"validation.select is {select}, and no held-out recommendation has a known propensity; log propensities, "
            "or state with validation.logging_policy: uniform that any track of the catalogue was equally likely"
        )
    dataset, ks = open_dataset(scorer.dataset), scorer.validation.ks
    popular: IntArray = dataset.most_popular("train", max(ks)).astype(np.int64)
    found = estimate_listening_time(estimator, np.tile(popular, (len(dataset.users), 1)), ks)
    if select in found.warnings:
        raise SearchError(
            f"validation.select is {select}, which cannot choose here: for the popular tracks "
            f"{found.warnings[select]}; hold out more sessions, or choose by a ranking metric"
        )


@lru_cache(maxsize=2)
def _estimator_for(scorer: Scorer) -> OffPolicy | None:
    """Prepare the process's estimator of the held-out sessions; None where no propensity is known."""
    dataset, validation = open_dataset(scorer.dataset), scorer.validation
    events = pq.read_table(dataset.logged) if dataset.logged.exists() else None
    if not events:
        return None
    sessions = sessions_of(events, logging_policy=validation.logging_policy, catalogue_size=dataset.summary.tracks)
    return OffPolicy(sessions, resamples=validation.resamples, seed=scorer.seed) if sessions.counted.any() else None


@lru_cache(maxsize=2)
def validator_for(scorer: Scorer) -> Validator:
    """Prepare the process's validator: reading the held-out listening takes longer than a score."""
    dataset = open_dataset(scorer.dataset)
    popularity = dataset.popularity()
    return Validator(
        dataset.heldout,
        pa.table({"track": np.arange(len(popularity)), "listeners": popularity}),
        catalogue_size=dataset.summary.tracks,
        training_listeners=dataset.summary.training_listeners,
        settings=Settings(
            ks=scorer.validation.ks,
            min_time=scorer.validation.min_time,
            resamples=scorer.validation.resamples,
            seed=scorer.seed,
            threads=scorer.threads,
        ),
    )
