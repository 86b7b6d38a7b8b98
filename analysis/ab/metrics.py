"""The metrics of a report, one entry each: sums over a listener's closed sessions, and how they combine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray

Method = Literal["mean", "ratio", "quantile"]

ORIGINAL_METRICS = ("time", "sessions", "mean_request_latency", "mean_tracks_per_session", "mean_time_per_session")
# Sums whose past predicts them; latencies and fallbacks before the experiment say nothing of its arms.
WITH_PAST = {"sessions", "tracks", "time", "recommended_tracks", "recommended_time", "skips", "repeats"}
_VALUE = "value"  # the column of a mean over listeners of their ratios


@dataclass(frozen=True)
class Metric:
    """A metric."""

    name: str  # its name in configurations and reports
    label: str  # its name for people, with the unit
    numerator: str  # a sum over a listener's sessions: a column of `sql/ab/listener_sums.sql`
    denominator: str | None = None  # another; None for the mean of the numerator over listeners
    # Whether the ratio is taken of each listener and then averaged; otherwise it is of the arm's sums
    per_listener: bool = False
    higher_is_better: bool = True  # whether more of it is better
    quantile: float | None = None  # the quantile of the requests' latency that it is, 0..1; None for the others

    @property
    def method(self) -> Method:
        """How its effect is estimated."""
        if self.quantile is not None:
            return "quantile"
        return "mean" if self.denominator is None or self.per_listener else "ratio"

    @property
    def sums(self) -> tuple[str, ...]:
        """The sums that it is made of."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)

    @property
    def quantity(self) -> Quantity:
        """The metric in the columns of `moments`."""
        return Quantity(_VALUE) if self.per_listener else Quantity(*self.sums)

    @property
    def past(self) -> Quantity | None:
        """The metric before the experiment in the columns of `moments`; None where that predicts nothing."""
        return Quantity(*(f"past_{name}" for name in self.sums)) if WITH_PAST.issuperset(self.sums) else None

    def values(self, listeners: Mapping[str, FloatArray]) -> FloatArray:
        """Return each listener's numerator, or ratio if it is per listener; NaN for a ratio to 0."""
        numerator = listeners[self.numerator]
        if self.denominator is None or not self.per_listener:
            return numerator
        denominator = listeners[self.denominator]
        return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)

    def moments(self, listeners: Mapping[str, FloatArray]) -> Moments:
        """Return the moments of the metric and its past, over the listeners for whom it has a value."""
        past = [f"past_{name}" for name in self.sums if self.past]
        columns = {name: listeners[name] for name in (*self.sums, *past) if name in listeners}
        columns[_VALUE] = self.values(listeners)
        known = ~np.isnan(columns[_VALUE])
        return Moments.of({name: column[known] for name, column in columns.items()})


_ALL = (
    Metric("time", "listening time, tracks", "time"),
    Metric("sessions", "sessions", "sessions"),
    Metric(
        "mean_request_latency",
        "latency as logged, mean of the listeners' means, ms",
        "logged_latency_ms",
        "logged_requests",
        per_listener=True,
        higher_is_better=False,
    ),
    Metric(
        "mean_tracks_per_session",
        "tracks per session, mean of the listeners' means",
        "tracks",
        "sessions",
        per_listener=True,
    ),
    Metric(
        "mean_time_per_session",
        "listening time per session, mean of the listeners' means, tracks",
        "time",
        "sessions",
        per_listener=True,
    ),
    Metric("time_per_session", "listening time per session, tracks", "time", "sessions"),
    Metric("tracks_per_session", "tracks per session", "tracks", "sessions"),
    Metric(
        "time_per_recommended_track",
        "listening time of a recommended track, share of the track",
        "recommended_time",
        "recommended_tracks",
    ),
    Metric(
        "skip_share",
        "recommended tracks that were skipped, share",
        "skips",
        "recommended_tracks",
        higher_is_better=False,
    ),
    Metric("repeat_share", "tracks heard before in the session, share", "repeats", "tracks", higher_is_better=False),
    Metric(
        "fallback_share",
        "recommendations by another than the arm's own recommender, share",
        "fallbacks",
        "named",
        higher_is_better=False,
    ),
    Metric("request_latency", "latency of a request, ms", "latency_ms", "requests", higher_is_better=False),
    Metric("latency_p50", "median latency, ms", "latency_ms", higher_is_better=False, quantile=0.5),
    Metric("latency_p99", "99th percentile of latency, ms", "latency_ms", higher_is_better=False, quantile=0.99),
)
METRICS = {metric.name: metric for metric in _ALL}
