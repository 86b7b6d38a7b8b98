"""Configuration of a report: metrics, their roles, and when to trust an experiment."""

import difflib
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from analysis.ab.metrics import METRICS
from looplib.config import Config, Positive, Share

Role = Literal["primary", "secondary", "guardrail"]


def _known(name: str) -> str:
    if name not in METRICS:
        nearest = difflib.get_close_matches(name, METRICS, n=1, cutoff=0)[0]
        raise ValueError(f"no metric {name}; the nearest is {nearest}, all are {', '.join(METRICS)}")
    return name


def _size(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)", text):
        raise ValueError(f"a size such as 500MB or 1GB is expected, found {text!r}")
    return text


MetricName = Annotated[str, AfterValidator(_known)]


class Guardrail(Config):
    """A metric that must not get worse by more than a margin."""

    metric: MetricName  # its name
    margin: Annotated[float, Field(ge=0)] = 0.0  # how much worse is still accepted, in the metric's unit


class TrustConfig(Config):
    """When an experiment is not trusted, and what no listener can do."""

    most_rejected: Share = 0.05  # share of the lines that may be no events
    most_changing: Share = 0.01  # share of the listeners who may have been in several arms
    most_tracks_a_day: Annotated[int, Field(ge=1)] = 5000  # a listener cannot hear more on a day
    same_ms_share: Share = 0.1  # share of a listener's events that may come within the millisecond of the one before
    # Length of the shortest track, to compare listening time with the clock; 0 leaves that out, for the original
    # service's simulator writes its log faster than music plays
    shortest_track_s: Annotated[float, Field(ge=0)] = 0.0


class AbConfig(Config):
    """Configuration of a report."""

    control: str = "C"  # the arm that the others are compared with
    # Share of the listeners that each arm should have, in any unit; equal ones where none is given
    shares: dict[str, Positive] = Field(default_factory=dict)
    # Each arm's own recommender; of an arm that is not named, the one that answered most
    recommenders: dict[str, str] = Field(default_factory=dict)
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # two-sided error rate, 0.05 for 95 % intervals
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8  # of the minimum detectable effect
    # Metrics that decide; adjusted by Holm over them and the arms
    primary: tuple[MetricName, ...] = ("mean_time_per_session",)
    # Metrics that explain; adjusted by Benjamini and Hochberg, together with the guardrails
    secondary: tuple[MetricName, ...] = (
        "time",
        "sessions",
        "mean_tracks_per_session",
        "time_per_session",
        "time_per_recommended_track",
        "skip_share",
    )
    # Metrics that must not get worse
    guardrails: tuple[Guardrail, ...] = (
        Guardrail(metric="latency_p50", margin=10),
        Guardrail(metric="latency_p99", margin=50),
        Guardrail(metric="repeat_share", margin=0.01),
        Guardrail(metric="fallback_share", margin=0.05),
    )
    # Relative effect on a primary metric that is worth shipping; an arm that is surely below it is not shipped
    smallest_effect_pct: Annotated[float, Field(ge=0)] = 0.0
    min_listeners: Annotated[int, Field(ge=2)] = 20  # listeners that every arm needs before anything is decided
    # Listeners of two arms at which the sequential intervals are narrowest. It must not be chosen after a look at the
    # data.
    planned_listeners: Annotated[int, Field(ge=2)] = 10_000
    skip_below: Share = 0.1  # a recommended track that is heard for less was skipped, share of the track
    positions: Annotated[int, Field(ge=2, le=1000)] = 30  # the last position in a session that is shown
    resamples: Annotated[int, Field(ge=100)] = 1000  # of the bootstrap; fewer are drawn for very many listeners
    seed: Annotated[int, Field(ge=0)] = 0  # of the bootstrap
    memory: Annotated[str, AfterValidator(_size)] = "1GB"  # what DuckDB may use before it spills to the disk
    trust: TrustConfig = TrustConfig()  # when not to trust

    @model_validator(mode="after")
    def _have_one_role(self) -> "AbConfig":
        if not self.primary:
            raise ValueError("primary: at least one metric must decide")
        twice = sorted({name for name in self.metrics if self.metrics.count(name) > 1})
        if twice:
            raise ValueError(f"a metric has one role alone, found two of {', '.join(twice)}")
        quantiles = [name for name in self.primary if METRICS[name].quantile is not None]
        if quantiles:
            raise ValueError(
                f"primary: {quantiles[0]} cannot decide, as it cannot be followed by day; use request_latency"
            )
        return self

    def role(self, name: str) -> Role:
        """Return the role of a metric."""
        if name in self.primary:
            return "primary"
        return "secondary" if name in self.secondary else "guardrail"

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics, those that decide first."""
        return (*self.primary, *self.secondary, *(guardrail.metric for guardrail in self.guardrails))
