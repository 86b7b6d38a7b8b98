"""The metrics of a report: what each is of the listeners' columns, and which way is better."""

from dataclasses import dataclass
from typing import Literal

from analysis.statistics.moments import Quantity

Method = Literal["mean", "ratio", "quantile"]

COURSE_METRICS = ("time", "sessions", "mean_request_latency", "mean_tracks_per_session", "mean_time_per_session")


@dataclass(frozen=True)
class ByDay:
    """A metric in the columns of `listener_days`: a sum, a ratio of sums, or a mean of the listeners' ratios."""

    numerator: str
    denominator: str = ""
    per_listener: bool = False


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: What configurations and reports call it.
        label: The same for people, with the unit.
        method: How its effect is estimated.
        higher_is_better: Whether more of it is better.
        quantity: What it is of the columns of `listeners`; for quantiles, of the requests below a latency.
        by_day: The same of `listener_days`; None where it cannot be followed by day.
        past: What is known of the listeners from before the experiment; None where that is no help.
        quantile: Which quantile of the requests' latency, 0..1; None for the others.
    """

    name: str
    label: str
    method: Method
    higher_is_better: bool
    quantity: Quantity
    by_day: ByDay | None = None
    past: Quantity | None = None
    quantile: float | None = None


_PAST_TIME = Quantity("past_time", "past_sessions")
_PAST_TRACKS = Quantity("past_tracks", "past_sessions")
_REQUESTS = Quantity("below", "requests")

METRICS = {
    metric.name: metric
    for metric in (
        Metric("time", "listening time, tracks", "mean", True, Quantity("time"), ByDay("time"), Quantity("past_time")),
        Metric(
            "sessions", "sessions", "mean", True, Quantity("sessions"), ByDay("sessions"), Quantity("past_sessions")
        ),
        Metric(
            "mean_request_latency",
            "latency, mean of the listeners' means, ms",
            "mean",
            False,
            Quantity("mean_request_latency"),
            ByDay("latency_ms", "requests", per_listener=True),
        ),
        Metric(
            "mean_tracks_per_session",
            "tracks per session, mean of the listeners' means",
            "mean",
            True,
            Quantity("mean_tracks_per_session"),
            ByDay("tracks", "sessions", per_listener=True),
            _PAST_TRACKS,
        ),
        Metric(
            "mean_time_per_session",
            "listening time per session, mean of the listeners' means, tracks",
            "mean",
            True,
            Quantity("mean_time_per_session"),
            ByDay("time", "sessions", per_listener=True),
            _PAST_TIME,
        ),
        Metric(
            "time_per_session",
            "listening time per session, tracks",
            "ratio",
            True,
            Quantity("time", "sessions"),
            ByDay("time", "sessions"),
            _PAST_TIME,
        ),
        Metric(
            "tracks_per_session",
            "tracks per session",
            "ratio",
            True,
            Quantity("tracks", "sessions"),
            ByDay("tracks", "sessions"),
            _PAST_TRACKS,
        ),
        Metric(
            "time_per_recommended_track",
            "listening time of a recommended track, share of the track",
            "ratio",
            True,
            Quantity("recommended_time", "recommended_tracks"),
            ByDay("recommended_time", "recommended_tracks"),
            Quantity("past_recommended_time", "past_recommended_tracks"),
        ),
        Metric(
            "skip_share",
            "recommended tracks that were skipped, share",
            "ratio",
            False,
            Quantity("skips", "recommended_tracks"),
            ByDay("skips", "recommended_tracks"),
            Quantity("past_skips", "past_recommended_tracks"),
        ),
        Metric(
            "repeat_share",
            "tracks heard before in the session, share",
            "ratio",
            False,
            Quantity("repeats", "tracks"),
            ByDay("repeats", "tracks"),
            Quantity("past_repeats", "past_tracks"),
        ),
        Metric(
            "fallback_share",
            "recommendations by another than the arm's own recommender, share",
            "ratio",
            False,
            Quantity("fallbacks", "named"),
            ByDay("fallbacks", "named"),
        ),
        Metric(
            "request_latency",
            "latency of a request, ms",
            "ratio",
            False,
            Quantity("latency_ms", "requests"),
            ByDay("latency_ms", "requests"),
        ),
        Metric("latency_p50", "median latency, ms", "quantile", False, _REQUESTS, quantile=0.5),
        Metric("latency_p99", "99th percentile of latency, ms", "quantile", False, _REQUESTS, quantile=0.99),
    )
}
