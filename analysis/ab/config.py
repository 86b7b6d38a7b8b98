"""Configuration of a report: metrics, their roles, and when to trust an experiment."""

import datetime
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from analysis.ab.metrics import METRICS, Metric
from looplib.config import Config, Positive, Share

Role = Literal["primary", "secondary", "guardrail", "diagnostic"]
_LISTS: dict[Role, str] = {
    "primary": "primary",
    "secondary": "secondary",
    "guardrail": "guardrails",
    "diagnostic": "diagnostics",
}
# divisions that `analysis.ab.measures` makes itself
_RESERVED = {"whole", "day", "novelty", "past"}

MetricName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


def _size(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)", text):
        raise ValueError(f"a size such as 500MB or 1GB is expected, found {text!r}")
    return text


class Guardrail(Config):
    """A metric that must not get worse by more than a margin; exactly one of the two margins is given."""

    metric: str  # its name
    # how much worse is still accepted, in the metric's unit
    margin: Annotated[float, Field(ge=0)] | None = None
    # the same in % of the control's value
    margin_pct: Annotated[float, Field(ge=0, lt=100)] | None = None

    @model_validator(mode="after")
    def _has_one_margin(self) -> Self:
        if (self.margin is None) == (self.margin_pct is None):
            raise ValueError(
                f"guardrail {self.metric}: give either margin, in its unit, or margin_pct"
            )
        return self


class OwnMetric(Metric):
    """A metric of one's own, with the role that it has beside the metrics of the configuration's lists."""

    sql: Annotated[
        str,
        Field(pattern=r"\.sql$|^ab/(listener_sums|request_latencies|session_times)$"),
    ]
    role: Role | None = (
        None  # where none is given, the metric's name stands in one of the lists
    )
    margin: float | None = None  # of a guardrail, as in `Guardrail`
    margin_pct: float | None = None  # the same in % of the control's value


class Horizon(Config):
    """When an experiment ends, declared before its first event; later events are left out."""

    date: datetime.date | None = None  # the last day, UTC
    # the last day is the one by whose end so many were seen, UTC
    listeners: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.date is None) == (self.listeners is None):
            raise ValueError("horizon: give either date or listeners")
        return self

    def __str__(self) -> str:
        """What ends the experiment, for people."""
        return f"{self.listeners:,} listeners" if self.listeners else str(self.date)


class TrustConfig(Config):
    """When an experiment is not trusted."""

    gone: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("most_tracks_a_day", "at_once_share"),
        "listeners who behave impossibly are no longer listed; leave it out",
    )

    most_rejected: Share = 0.05  # share of the lines that need not be events
    most_changing: Share = (
        0.01  # share of the listeners who may have been in several arms
    )


class AbConfig(Config):
    """Configuration of a report."""

    control: str = "C"  # the arm that the others are compared with
    aa: bool = False  # whether all arms are the same, so that no effect is expected
    # only the original course service's table and the sample ratio; much faster
    table_only: bool = False
    # Share of the listeners that each arm should have, in any unit; equal ones where none is given
    shares: dict[str, Positive] = Field(default_factory=dict)
    # Each arm's own recommender; of an arm that is not named, the one that answered most
    recommenders: dict[str, str] = Field(default_factory=dict)
    # two-sided error rate, 0.05 for 95 % intervals
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1)] = (
        0.8  # of the minimum detectable effect
    )
    # Metrics of one's own by name, beside those of `metrics.yaml`
    metrics: dict[MetricName, OwnMetric] = Field(default_factory=dict)
    # Metrics that decide; adjusted by Holm over them and the arms
    primary: tuple[str, ...] = ("mean_time_per_session",)
    # Metrics that explain; adjusted by Benjamini and Hochberg, together with guardrails and
    # diagnostics
    secondary: tuple[str, ...] = (
        "mean_tracks_per_session",
        "time_per_session",
        "time_per_recommended_track",
    )
    # Metrics that must surely not get worse by more than a margin: how fast the service is, and
    # whether listeners stay
    guardrails: tuple[Guardrail, ...] = (
        Guardrail(metric="latency_p99", margin=50),
        Guardrail(metric="sessions", margin_pct=10),
        Guardrail(metric="time", margin_pct=10),
    )
    # Metrics that say how a recommender works, and of which more is neither good nor bad by itself
    diagnostics: tuple[str, ...] = (
        "skip_share",
        "repeat_share",
        "fallback_share",
        "latency_p50",
    )
    # Whether what listeners' past predicts is taken out of a metric (CUPED); declared before the
    # first event
    cuped: bool = False
    # Columns that listeners or tracks are grouped by → the file that has them, beside a column
    # `user` or `track`
    segments: dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], Path] = (
        Field(default_factory=dict)
    )
    # Relative effect on a primary metric that is worth shipping; an arm that is surely below it is
    # not shipped
    smallest_effect_pct: Annotated[float, Field(ge=0)] = 0.0
    # Listeners that every arm needs before anything is decided: with fewer the intervals of a
    # metric that a few listeners dominate contain the true effect less often than they say
    min_listeners: Annotated[int, Field(ge=2)] = 200
    # when the experiment ends; without, it may be looked at and stopped at any time
    horizon: Horizon | None = None
    # Listeners of two arms at which the sequential intervals are narrowest, about 3 standard errors
    # to each side; from a fifth to fifty times as many they are at most a sixth wider; not to be
    # chosen after a look at the data
    planned_listeners: Annotated[int, Field(ge=2)] = 2000
    # a recommended track that is heard for less was skipped, share of the track
    skip_below: Share = 0.1
    # the last position in a session that is shown
    positions: Annotated[int, Field(ge=2, le=1000)] = 30
    # what DuckDB may use before it spills to the disk
    memory: Annotated[str, AfterValidator(_size)] = "1GB"
    trust: TrustConfig = TrustConfig()  # when not to trust

    @model_validator(mode="after")
    def _place_metrics(self) -> Self:
        """Name metrics of one's own, list them by their roles, and leave out of default lists what is elsewhere."""
        own = {
            name: metric.model_copy(update={"name": name})
            for name, metric in self.metrics.items()
        }
        lists = {role: list(getattr(self, field)) for role, field in _LISTS.items()}
        placed = {_name(row) for rows in lists.values() for row in rows}
        for name, metric in own.items():
            if metric.role and name not in placed:
                margins = {"margin": metric.margin, "margin_pct": metric.margin_pct}
                lists[metric.role].append(
                    Guardrail(metric=name, **margins)
                    if metric.role == "guardrail"
                    else name
                )
        given = [
            role
            for role, field in _LISTS.items()
            if role == "primary" or field in self.model_fields_set
        ]
        taken = {_name(row) for role in given for row in lists[role]}
        for role in lists.keys() - given:
            lists[role] = [row for row in lists[role] if _name(row) not in taken]
        changed = {_LISTS[role]: tuple(rows) for role, rows in lists.items()} | {
            "metrics": own
        }
        for field, value in changed.items():
            object.__setattr__(self, field, value)
        self._check_metrics()
        return self

    def _check_metrics(self) -> None:
        known = self.known
        for name in self.segments:
            if name.lower() in _RESERVED:
                raise ValueError(
                    f"segments: the report reserves the name {name}; rename the column in the file"
                )
        if clash := METRICS.keys() & self.metrics.keys():
            raise ValueError(
                f"metrics: {', '.join(sorted(clash))} is built in; give the own one another name"
            )
        for name in self.names:
            if name not in known:
                nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
                raise ValueError(
                    f"no metric {name}; the nearest is {nearest}, all are {', '.join(known)}"
                )
        if not self.primary:
            raise ValueError("primary: at least one metric must decide")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(
                f"a metric has one role alone, found two of {', '.join(twice)}"
            )
        quantiles = [name for name in self.primary if known[name].quantile is not None]
        if quantiles:
            raise ValueError(
                f"primary: {quantiles[0]} cannot decide, as a quantile has no value by listener"
            )

    @property
    def known(self) -> dict[str, Metric]:
        """All metrics by name: the built-in ones and one's own."""
        return METRICS | self.metrics

    def role_of(self, name: str) -> Role:
        """Return the role of a metric."""
        return next(
            role
            for role, field in _LISTS.items()
            if name in map(_name, getattr(self, field))
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that have a role, those that decide first."""
        lists = (self.primary, self.guardrails, self.secondary, self.diagnostics)
        return tuple(_name(row) for rows in lists for row in rows)

    @property
    def reported(self) -> tuple[Metric, ...]:
        """The metrics that a report has, those that decide first."""
        return tuple(self.known[name] for name in self.names)


def _name(row: str | Guardrail) -> str:
    return row.metric if isinstance(row, Guardrail) else row
