"""Estimate how long the tracks of lists would be listened to, had the lists been served.

`ope_time@k` is the mean listening time of a recommended track when any of the best k is served, all equally likely:
the self-normalised estimate of `analysis.offpolicy` on the held-out sessions, a ratio of sums over listeners. It is
what an experiment measures; ranking metrics reward predicting the tracks that listeners would have chosen themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.offpolicy import OffPolicy
from looplib.arrays import FloatArray, IntArray
from recsys.config import OPE_TIME

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class ListMetrics:
    """Metrics of lists, by their keys, such as "ndcg@30".

    Fits are compared in pairs by the numerator and denominator of each listener: of the choosing metric where it is a
    ratio of sums over listeners, and of `ope_time`.
    """

    metrics: dict[str, Interval]  # value and the ends of its 95 % interval
    warnings: dict[str, str]  # why nothing should be concluded from a metric
    listeners: dict[str, FloatArray]  # numerators and denominators, shape (2, listeners)


def estimate_listening_time(estimator: OffPolicy, lists: IntArray, ks: Sequence[int]) -> ListMetrics:
    """Estimate `ope_time@k` of lists, best track first, filled up with -1; shape (listeners, largest k)."""
    users = np.arange(len(lists))
    estimates = {f"{OPE_TIME}@{k}": estimator.value_lists(users, lists[:, :k]) for k in ks}
    return ListMetrics(
        {key: (found.snips.value, found.snips.lower, found.snips.upper) for key, found in estimates.items()},
        {key: "; ".join(found.reasons) for key, found in estimates.items() if found.reasons},
        {key: np.stack([found.per_listener.times, found.per_listener.weights]) for key, found in estimates.items()},
    )
