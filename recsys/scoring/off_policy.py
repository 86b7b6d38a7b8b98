"""The off-policy scorer of a search: what lists would have been listened to, had they been served.

`ope_time@k` is the mean listening time of a recommended track when any of the best k is served, all equally likely:
the self-normalised estimate of `analysis.offpolicy` on the held-out sessions, a ratio of sums over listeners. It is
what an experiment measures; ranking metrics reward foretelling the tracks that listeners would have chosen themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from analysis.offpolicy import LoggingPolicy, OffPolicy, OffPolicyEstimate, sessions_of
from looplib.arrays import FloatArray, IntArray
from recsys.config import OPE_TIME
from recsys.errors import SearchError

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Heard:
    """What lists are worth by the off-policy estimate.

    Attributes:
        metrics: Metric key, such as "ope_time@30", to value and the ends of its 95 % interval.
        warnings: Metric key to why nothing should be concluded from it; only of those of which that is so.
        listeners: Metric key to numerator and denominator of each listener with a held-out session; each of shape
            (2, listeners).
    """

    metrics: dict[str, Interval]
    warnings: dict[str, str]
    listeners: dict[str, FloatArray]


class ListeningTime:
    """Values lists on the held-out sessions of a dataset; what does not depend on the lists is done once."""

    def __init__(self, estimator: OffPolicy, ks: Sequence[int]) -> None:
        """Takes the estimator of the held-out sessions and the cut-offs."""
        self._estimator = estimator
        self._ks = ks

    def value(self, users: IntArray, lists: IntArray) -> Heard:
        """Values lists.

        Args:
            users: The row of each list; shape (lists,).
            lists: Columns of tracks, best first, filled up with -1; shape (lists, at least the deepest cut-off).
        """
        estimates = {f"{OPE_TIME}@{k}": self._estimator.value_lists(users, lists[:, :k]) for k in self._ks}
        return Heard(
            metrics={key: _interval(estimate) for key, estimate in estimates.items()},
            warnings={key: "; ".join(estimate.reasons) for key, estimate in estimates.items() if estimate.reasons},
            listeners={
                key: np.stack([estimate.per_listener.times, estimate.per_listener.weights])
                for key, estimate in estimates.items()
            },
        )


def open_listening_time(
    logged: Path, *, logging_policy: LoggingPolicy, tracks: int, ks: Sequence[int], resamples: int, seed: int
) -> ListeningTime | None:
    """The off-policy scorer of a dataset; None where the log says no propensity.

    Args:
        logged: The dataset's held-out sessions; may be missing.
        logging_policy: Where the propensity of an event without one comes from.
        tracks: Tracks of the catalogue.
        ks: Cut-offs.
        resamples: Of the listeners.
        seed: Decides the resamples.
    """
    if not logged.exists():
        return None
    events = pq.read_table(logged)
    if not events.num_rows:
        return None
    sessions = sessions_of(events, logging_policy=logging_policy, catalogue_size=tracks)
    if not sessions.counted.any():
        return None
    return ListeningTime(OffPolicy(sessions, resamples=resamples, seed=seed), ks)


def check_choice(select: str, heard: Heard | None) -> None:
    """Refuses a choice by listening time that the log does not allow, before anything is fitted.

    Args:
        select: The choosing metric.
        heard: What the lists of popular tracks are worth: none that is better served by the log is known beforehand.

    Raises:
        SearchError: No propensity is known, or the estimate for the popular tracks is not conclusive.
    """
    if not select.startswith(f"{OPE_TIME}@"):
        return
    if heard is None:
        raise SearchError(
            f"validation.select is {select}, and no held-out recommendation has a known propensity; log propensities, "
            "or state with validation.logging_policy: uniform that any track of the catalogue was equally likely"
        )
    if select in heard.warnings:
        raise SearchError(
            f"validation.select is {select}, which cannot choose here: for the popular tracks "
            f"{heard.warnings[select]}; hold out more sessions, or choose by a ranking metric"
        )


def _interval(estimate: OffPolicyEstimate) -> Interval:
    return estimate.snips.value, estimate.snips.lower, estimate.snips.upper
