"""Configuration of a report: metrics, their roles, and when to trust an experiment."""

import difflib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from analysis.ab.metrics import METRICS, Metric, define_metric
from looplib.config import Config, Positive
from looplib.errors import ConfigError
from looplib.experiments import Experiment, Guardrail

Role = Literal["primary", "guardrail", "secondary"]
Dialect = Literal["snowflake", "bigquery", "postgres", "duckdb"]
# The default length of an experiment is four times its `min_days`, four weeks.
_LENGTH = 4


class FixedHorizon(Config):
    """The planned size of an experiment, declared before its first event.

    The interim analyses on the way share the error rate; later events are left out.
    """

    # planned listeners of all arms; the day (UTC) on which they are reached is the last
    listeners: Annotated[int, Field(ge=1)]
    # number of analyses at equal distances, the last at the end; 1 allows the last alone
    interim_analyses: Annotated[int, Field(ge=1, le=200)] = 32


class AbConfig(Config):
    """Configuration of a report."""

    # the arm that the others are compared with
    control: str = Field("C", coerce_numbers_to_str=True)
    # Share of the listeners that each arm should have, in any unit; equal by default
    shares: dict[str, Positive] = Field(default_factory=dict)
    # Each arm's own recommender; by default the recommender that answered most of its requests
    recommenders: dict[str, str] = Field(default_factory=dict)
    # two-sided error rate, 0.05 for 95 % intervals
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    # the chance that an effect is shipped, for plans of `listening-loop power`
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    # Metrics beside `analysis/sql/metrics` by name: a `.sql` file; for a table a column, or a ratio
    # ratio of two columns such as "minutes / sessions"
    metrics: dict[str, str] = Field(default_factory=dict)
    # metrics of a table that are better when lower; a `.sql` file says it itself
    lower_is_better: tuple[str, ...] = ()
    # Metrics that decide; adjusted by Bonferroni over them and the arms
    primary: tuple[str, ...] = ("mean_time_per_session",)
    # Metrics that explain; adjusted by Benjamini and Hochberg, together with guardrails. Metrics of
    # how a recommender works, such as `skip_share`, are neither good nor bad by themselves
    secondary: tuple[str, ...] = (
        "mean_tracks_per_session",
        "time_per_session",
        "time_per_recommended_track",
        "skip_share",
        "repeat_share",
        "fallback_share",
        "latency_p50",
    )
    # Metrics that must surely not get worse by more than a margin; by default every metric whose
    # file has a margin
    guardrails: tuple[Guardrail, ...] = tuple(
        Guardrail(metric=name, margin=metric.margin, margin_pct=metric.margin_pct)
        for name, metric in METRICS.items()
        if (metric.margin, metric.margin_pct) != (None, None)
    )
    # Smallest gain on a primary metric that is worth shipping, in % of the control's value; an arm
    # whose gain is surely below it is too small to matter
    smallest_effect_pct: Annotated[float, Field(ge=0)] = 0.0
    # Whether effects are adjusted for the listeners' past (CUPED); declared before the first event
    cuped: bool = False
    # Listeners that every arm needs before anything is decided; with fewer, intervals of a
    # metric that a few listeners dominate contain the true effect less often than they say
    min_listeners: Annotated[int, Field(ge=2)] = 200
    # Listeners are simulated, which the report says
    is_simulated: bool = False
    # Days (UTC) before anything is decided, whole weeks at best; a table without dates has none
    min_days: Annotated[int, Field(ge=1)] = 7
    # Whether a decision counts only if the analysis of a day before was the same, which a corrupt
    # day hardly survives; a table without dates has no day before
    confirm: bool = True
    # when the experiment ends; without, it may be analysed and stopped at any time
    fixed_horizon: FixedHorizon | None = None
    # Listeners of all arms with which intervals are narrow without a fixed horizon, as
    # `listening-loop power` plans them; by default four times the listeners of the first
    # `min_days`. Choose it before you see the data
    expected_listeners: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        names = [*self.all_metrics]
        for name in self.roles:
            if name not in names:
                nearest = difflib.get_close_matches(name, names, n=1, cutoff=0)[0]
                raise ValueError(
                    f"no metric {name}; the nearest is {nearest}, all are {', '.join(names)}"
                )
        if not self.deciding:
            raise ValueError("primary: at least one metric must decide")
        for metric in self.deciding:
            if metric.quantile is not None:
                raise ValueError(
                    f"primary: {metric.name} cannot decide, as a quantile has no value by listener"
                )
        return self

    @cached_property
    def all_metrics(self) -> dict[str, Metric]:
        """All metrics by name: built-in metrics and metrics of the configuration."""
        return METRICS | {
            name: define_metric(name, text, is_lower=name in self.lower_is_better)
            for name, text in self.metrics.items()
        }

    @cached_property
    def roles(self) -> dict[str, Role]:
        """The role of each metric of a report, by the first list that names it."""
        roles: dict[str, Role] = dict.fromkeys(self.primary, "primary")
        for guardrail in self.guardrails:
            roles.setdefault(guardrail.metric, "guardrail")
        for name in self.secondary:
            roles.setdefault(name, "secondary")
        return roles

    @cached_property
    def limits(self) -> dict[str, Guardrail]:
        """The guardrails by metric."""
        return {
            row.metric: row
            for row in self.guardrails
            if self.roles[row.metric] == "guardrail"
        }

    @property
    def horizon(self) -> int | None:
        """Listeners of all arms at the end of the experiment."""
        return self.fixed_horizon.listeners if self.fixed_horizon else None

    @property
    def deciding(self) -> list[Metric]:
        """The primary metrics."""
        return [self.all_metrics[name] for name in dict.fromkeys(self.primary)]

    @property
    def reported(self) -> list[Metric]:
        """The metrics of a report, primary metrics first."""
        return [self.all_metrics[name] for name in self.roles]


def expect(config: AbConfig, first_listeners: int) -> AbConfig:
    """Set the expected listeners, if the configuration has none.

    Args:
        config: Configuration of the report.
        first_listeners: Listeners of the first `min_days`; 0 if days are unknown.
    """
    if config.fixed_horizon:
        return config
    expected = config.expected_listeners or _LENGTH * first_listeners or None
    return config.model_copy(update={"expected_listeners": expected})


def plan_document(plan: Experiment | None) -> dict[str, Any]:
    """Translate an experiment's file into keys of `AbConfig`."""
    if plan is None:
        return {}
    same = {"lower_is_better", "guardrails", "smallest_effect_pct"}
    document = plan.model_dump(mode="json", include=same, exclude_defaults=True)
    document |= {
        "control": plan.arms[0].name,
        "shares": {arm: share for arm, share in plan.shares.items() if share},
        "recommenders": {arm.name: arm.recommender for arm in plan.arms},
    }
    if plan.metrics:
        document["primary"] = list(plan.metrics)
    if plan.planned_listeners:
        document["fixed_horizon"] = {"listeners": plan.planned_listeners}
    return document


def table_document(document: dict[str, Any]) -> dict[str, Any]:
    """Add the metrics of a table, which are its columns, to keys of `AbConfig`.

    Raises:
        ConfigError: No metric is named.
    """
    primary = document.get("primary", [])
    limits = document.get("guardrails", [])
    if not primary:
        example = "such as metrics=['minutes'], or on the command line --metric minutes"
        raise ConfigError(f"metrics: name the columns that decide, {example}")
    columns = [*primary, *(row["metric"] for row in limits)]
    metrics = dict(zip(columns, columns, strict=True))
    return {**document, "guardrails": limits, "secondary": [], "metrics": metrics}
