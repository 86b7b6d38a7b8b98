"""Estimate how long the tracks of lists would be listened to, had the lists been served.

`ope_time@k` is the mean listening time of a recommended track when any of the best k is served, all equally likely:
the self-normalised estimate of `analysis.offpolicy` on the held-out sessions, a ratio of sums over listeners. It is
what an experiment measures; ranking metrics reward predicting the tracks that listeners would have chosen themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from analysis.offpolicy import LoggingPolicy, OffPolicy, sessions_of
from looplib.arrays import FloatArray, IntArray
from recsys.config import OPE_TIME
from recsys.dataset.dataset import Dataset

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class ListMetrics:
    """Metrics of lists.

    Attributes:
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval.
        warnings: Metric key to why nothing should be concluded from it; only of those metrics.
        listeners: Metric key to numerator and denominator of each listener, shape (2, listeners), by which fits are
            compared in pairs: of the choosing metric where it is a ratio of sums over listeners, and of `ope_time`.
    """

    metrics: dict[str, Interval]
    warnings: dict[str, str]
    listeners: dict[str, FloatArray]


def open_estimator(dataset: Dataset, policy: LoggingPolicy, resamples: int, seed: int) -> OffPolicy | None:
    """Prepare the estimator of a dataset's held-out sessions; None where no propensity is known.

    Events without propensity were drawn by the policy; the seed decides the bootstrap resamples of the listeners.
    """
    events = pq.read_table(dataset.logged) if dataset.logged.exists() else None
    if not events:
        return None
    sessions = sessions_of(events, logging_policy=policy, catalogue_size=dataset.summary.tracks)
    return OffPolicy(sessions, resamples=resamples, seed=seed) if sessions.counted.any() else None


def estimate_listening_time(estimator: OffPolicy, lists: IntArray, ks: Sequence[int]) -> ListMetrics:
    """Estimate `ope_time@k` for each cut-off k.

    Args:
        estimator: Made by `open_estimator`.
        lists: A list of tracks for each listener, best first, filled up with -1; shape (listeners, largest k).
        ks: Cut-offs.
    """
    users = np.arange(len(lists))
    estimates = {f"{OPE_TIME}@{k}": estimator.value_lists(users, lists[:, :k]) for k in ks}
    return ListMetrics(
        {key: (found.snips.value, found.snips.lower, found.snips.upper) for key, found in estimates.items()},
        {key: "; ".join(found.reasons) for key, found in estimates.items() if found.reasons},
        {key: np.stack([found.per_listener.times, found.per_listener.weights]) for key, found in estimates.items()},
    )
