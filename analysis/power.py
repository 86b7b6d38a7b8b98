"""`listening-loop power`: how many listeners and days an experiment takes, from a log.

What is planned is the verdict that will decide: its rule of interim analyses, all arms, primary
metrics and guardrails of its configuration. Listeners are as the log knows them at its end, so a
log as long as the experiment plans best; they arrive as they did in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import typer

from looplib.arrays import BoolArray, FloatArray
from looplib.cli import Overrides, importing, make_app, run

with importing():
    import numpy as np

    from analysis.ab.config import AbConfig, FixedHorizon, plan_document
    from analysis.ab.events import assign_arms, read_arrivals, read_events
    from analysis.ab.interim import InterimAnalysis
    from analysis.ab.listeners import measure, open_values
    from analysis.ab.metrics import Metric
    from analysis.errors import AnalysisError
    from analysis.planning import Logs, OutFile
    from analysis.statistics.moments import Moments, Quantity
    from looplib.config import load_config
    from looplib.experiments import Experiment
    from looplib.files import atomic_write_json
    from looplib.randomness import make_generator

_FEWEST = 10  # listeners of whom a variance says anything
_RUNS = 10_000  # simulated experiments
_MOST = 1e12  # listeners
_MOST_ANALYSES = 60  # one a day, of more days so many at equal distances

Rule = Literal["any-time", "fixed-horizon"]

PROG = "listening-loop power"
app = make_app(
    "Plan an experiment: how many listeners and days until an effect is shipped, from a log."
)


@app.command(epilog="Example: listening-loop power out/demo/log --effect 5% --arms 3")
def main(
    logs: Logs,
    effect: Annotated[
        str | None,
        typer.Option(help="The relative effect that must not be missed, such as 5%."),
    ] = None,
    listeners: Annotated[
        int | None, typer.Option(min=2, help="Or how many come: what can they find?")
    ] = None,
    arms: Annotated[
        int, typer.Option(min=2, help="Arms with the control, where shares name none.")
    ] = 2,
    rule: Annotated[
        Rule | None,
        typer.Option(help="When it may end; by default as the configuration says."),
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(help="The experiment's YAML file: arms, metrics, guardrails."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The report's YAML, such as configs/ab.yaml.")
    ] = None,
    overrides: Overrides = None,
    out: OutFile = None,
) -> None:
    """Plan an experiment that ends in a verdict by the configuration."""
    if (effect is None) == (listeners is None):
        raise AnalysisError("name either --effect, such as 5%, or --listeners")
    relative = parse_effect(effect) if effect else None
    document = plan_document(
        load_config(Experiment, experiment) if experiment else None
    )
    settings = load_config(AbConfig, config, overrides or [], above=document)
    log = read_log(logs, settings)
    planned = plan(log, relative, settings, arms=arms, rule=rule, listeners=listeners)
    if out:
        atomic_write_json(out, planned)
    typer.echo(describe(planned))


def parse_effect(text: str) -> float:
    """Return the relative effect that a text such as "5%" or "0.05" stands for; below 0 for a fall.

    Raises:
        AnalysisError: It stands for none, for one of -100 % or less, or may be meant in %.
    """
    is_percent = text.endswith("%")
    try:
        effect = float(text.removesuffix("%")) / (100 if is_percent else 1)
    except ValueError:
        effect = math.nan
    if abs(effect) >= 1 and not is_percent:
        raise AnalysisError(
            f"effect {text}: is {text} % meant? Write {text}% or {effect / 100:g}; "
            f"{100 * effect:g}% for {effect:g} times the mean"
        )
    if not (effect > -1 and effect != 0 and effect < math.inf):
        raise AnalysisError(
            f"effect {text}: a share such as 5% or 0.05 is expected, above -100% and not 0"
        )
    return effect


@dataclass(frozen=True, eq=False)
class PastLog:
    """A log that a plan is made from."""

    metrics: Sequence[Metric]  # the first primary one, and guardrails but for quantiles
    moments: Moments  # of `quantity_of` each metric over all listeners
    arrivals: FloatArray  # new listeners on each day, from the first to the last

    def days_until(self, listeners: float) -> int | None:
        """Predict the day by which so many have come; None if never."""
        arrived = np.cumsum(self.arrivals)
        if listeners <= arrived[-1]:
            return int(np.argmax(arrived >= listeners)) + 1
        # of the latter half
        daily = float(self.arrivals[len(arrived) // 2 :].mean())
        if not daily:
            return None
        return len(arrived) + math.ceil((listeners - float(arrived[-1])) / daily)


def read_log(logs: Sequence[str | Path], config: AbConfig) -> PastLog:
    """Read what a plan by a configuration is made from.

    Raises:
        AnalysisError: The logs cannot be read.
    """
    limited = (config.all_metrics[name] for name in config.limits)
    metrics = [
        metric for metric in (config.deciding[0], *limited) if metric.quantile is None
    ]
    columns: dict[str, FloatArray] = {}
    with read_events(logs) as events:
        (logged,) = assign_arms(events, None).values()
        days, listeners, _ = read_arrivals(events)
        measure(events, config, {}, logged["first_ms"])
        for metric in metrics:
            values = open_values(events, metric).filter("segment = ''").to_arrow_table()
            quantity = vars(quantity_of(metric))
            for name, column in quantity.items():  # without a value it adds nothing
                columns[column] = np.nan_to_num(values[name].to_numpy())
    arrivals = np.zeros(days[-1] - days[0] + 1)
    arrivals[days - days[0]] = listeners
    return PastLog(metrics, Moments.of(columns), arrivals)


def quantity_of(metric: Metric) -> Quantity:
    """Name the columns of a metric in the moments of a log."""
    return Quantity(f"{metric.name} numerator", f"{metric.name} denominator")


@dataclass(frozen=True)
class Plan:
    """What an experiment takes."""

    metric: str  # the first primary metric, which has the effect
    mean: float  # its mean in the log
    deviation: float  # standard deviation of one listener's share in it
    effect: float  # the relative effect to be found
    power: float  # the wanted chance that it is shipped
    rule: Rule  # analysed at any time without an end, or on the way to a fixed horizon
    arms: int  # with the control
    guardrails: tuple[str, ...]  # that must surely be kept
    # guardrails that are quantiles, whose noise is not known
    not_planned: tuple[str, ...]
    listeners: int  # listeners needed, all arms
    days: int | None  # days until they have come; None where they never do
    log_listeners: int  # in the experiment at the end of the log
    log_days: int  # its length; later days follow from the arrivals of its latter half


def plan(
    log: PastLog,
    effect: float | None,
    config: AbConfig,
    *,
    arms: int = 2,
    rule: Rule | None = None,
    listeners: int | None = None,
) -> Plan:
    """Plan an experiment on the metrics of a log; the rest is as in `Plan`.

    Without an effect, it is the smallest one that so many listeners find.

    Raises:
        AnalysisError: A metric does not vary or has no mean.
    """
    rule = rule or ("fixed-horizon" if config.fixed_horizon else "any-time")
    planned = config.fixed_horizon or FixedHorizon(listeners=1)
    horizon = planned if rule == "fixed-horizon" else None
    # where any time is planned for, the size that is planned is the one that is expected
    update = {"fixed_horizon": horizon, "expected_listeners": 1}
    config = config.model_copy(update=update)
    # the control first
    by_arm = sorted(config.shares.items(), key=lambda arm: arm[0] != config.control)
    weights = np.array([share for _, share in by_arm] or [1.0] * arms)
    decision = PlannedDecision(log, config, weights / weights.sum())
    metric = log.metrics[0]
    days: int | None = len(log.arrivals)
    # analyses are daily, so the days that it takes depend a little on themselves
    for _ in range(2):
        analyses = min(days or 1, _MOST_ANALYSES)
        needed = listeners or math.ceil(decision.needed(effect or 0.0, analyses))
        days = log.days_until(needed)
    if effect is None:
        analyses = min(days or 1, _MOST_ANALYSES)
        effect = decision.search(
            0.0, 1.0, lambda effect: decision.power(effect, needed, analyses)
        )
        if effect == 1:
            raise AnalysisError(
                f"{needed:,} listeners find no effect below 100 % within guardrails; plan with more"
            )
    quantity = quantity_of(metric)
    quantiles = (name for name in config.limits if config.all_metrics[name].quantile)
    return Plan(
        metric=metric.name,
        mean=log.moments.mean(quantity),
        deviation=math.sqrt(log.moments.variance(quantity)),
        effect=effect,
        power=config.power,
        rule=rule,
        arms=len(weights),
        guardrails=tuple(metric.name for metric in log.metrics[1:]),
        not_planned=tuple(quantiles),
        listeners=needed,
        days=days,
        log_listeners=int(log.arrivals.sum()),
        log_days=len(log.arrivals),
    )


class PlannedDecision:
    """The rule of a verdict on listeners such as a log's, of whom one arm alone has an effect.

    How often it ends in "ship" is simulated. Estimates of large arms are sums of independent normal
    steps from analysis to analysis, correlated over metrics as listeners' values are. An arm ships
    at the first at which it is significantly better at the level that all comparisons leave (the
    first step of Holm's procedure), and every guardrail is surely within its margin.
    """

    def __init__(self, log: PastLog, config: AbConfig, weights: FloatArray) -> None:
        """Take the metrics of a log, and the share of the listeners in each arm, the control first.

        Raises:
            AnalysisError: Too little is known of the first metric.
        """
        metrics = log.metrics
        quantities = [*map(quantity_of, metrics)]
        means = np.array([*map(log.moments.mean, quantities)])
        covariances = np.array(
            [[log.moments.covariance(a, b) for b in quantities] for a in quantities]
        )
        deviations = np.sqrt(covariances.diagonal())
        varies = (deviations > 0) & (means != 0)  # other guardrails are kept
        if log.moments.count < _FEWEST or not varies[0]:
            raise AnalysisError(
                f"metric {metrics[0].name}: the log has too few listeners, or all have the same; "
                "nothing to plan from"
            )
        margins = []  # of each guardrail, as the logarithm of a ratio, above 0
        for metric, mean in zip(metrics[1:], means[1:].tolist(), strict=True):
            guardrail = config.limits[metric.name]
            relative = (guardrail.margin_pct or 0.0) / 100
            if guardrail.margin is not None:
                relative = guardrail.margin / (abs(mean) or 1.0)
            falls = -math.log1p(-min(relative, 0.99))
            margins.append(falls if metric.is_higher else math.log1p(relative))
        self._margins = np.array(margins)[varies[1:]]
        # of a listener's share in each metric, in means of it
        self._deviations = deviations[varies] / np.abs(means[varies])
        scales = deviations[varies]
        correlations = covariances[np.ix_(varies, varies)] / np.outer(scales, scales)
        # with a trace of independence, so that equal metrics have a root too
        self._root = np.linalg.cholesky(correlations + 1e-9 * np.eye(len(scales)))
        comparisons = len(config.deciding) * (len(weights) - 1)
        self._levels = [config.alpha / comparisons, *[config.alpha] * (len(scales) - 1)]
        self._weights = weights
        self._config = config

    def power(self, effect: float, listeners: float, analyses: int) -> float:
        """Simulate the chance that a relative effect is shipped at any interim analysis.

        Args:
            effect: As a share of the mean.
            listeners: Of all arms at the last analysis.
            analyses: How many there are, at equal distances.
        """
        shares = np.arange(1, analyses + 1) / analyses
        so_far = listeners * shares
        control, arm = 1 / self._weights[:2]
        # every listener hears so many times as much, so that the deviation grows with the mean
        growth = np.ones_like(self._deviations)
        growth[0] += effect
        scale = np.sqrt(control + arm * growth**2)
        # of each analysis and metric: what is true, in standard errors, and what is to be reached
        precision = np.sqrt(so_far)[:, np.newaxis] / (self._deviations * scale)
        true = np.concatenate([[abs(effect)], self._margins]) * precision
        limits = [
            [
                InterimAnalysis(self._config, share).errors(level, share)
                for level in self._levels
            ]
            for share in shares.tolist()
        ]
        noise = _paths(analyses, len(self._deviations)) @ self._root.T
        wins = (noise + true >= np.array(limits)).all(axis=2)
        shipped = ever_ships(wins, self._weights.min() * so_far, self._config)
        return float(shipped.mean())

    def needed(self, effect: float, analyses: int) -> float:
        """Search for the listeners in all arms with which an effect is shipped with a chance.

        Raises:
            AnalysisError: No number of listeners would do.
        """
        low = high = 2.0 * len(self._weights)
        while self.power(effect, high, analyses) < self._config.power:
            low = high
            high = 2 * high
            if high > _MOST:
                raise AnalysisError(
                    f"power: no number of listeners finds an effect of {100 * effect:.3g} %"
                )
        return self.search(low, high, lambda many: self.power(effect, many, analyses))

    def search(self, low: float, high: float, power: Callable[[float], float]) -> float:
        """Search for the least value whose power is enough, as the highest's is taken to be."""
        while high - low > 0.002 * high:
            middle = (low + high) / 2
            if power(middle) >= self._config.power:
                high = middle
            else:
                low = middle
        return high


def ever_ships(wins: BoolArray, smallest: FloatArray, config: AbConfig) -> BoolArray:
    """Mark the simulated experiments that are shipped at any of their analyses, a day apart.

    Args:
        wins: Whether an arm wins, shape (experiments, analyses).
        smallest: Listeners of the smallest arm, shape (analyses,).
        config: Of a report.

    Returns:
        Shape (experiments,).
    """
    ships = wins & (smallest >= config.min_listeners)
    # an arm that wins before a fixed horizon hardly ever fails at the next analysis
    is_final = config.fixed_horizon is not None or len(smallest) == 1
    if config.confirm and not is_final:
        ships = ships[:, 1:] & ships[:, :-1]
    return np.asarray(ships.any(axis=1))


@lru_cache(maxsize=1)
def _paths(analyses: int, metrics: int) -> FloatArray:
    """Simulate differences without an effect, of metrics that do not depend on each other.

    Returns:
        Standard errors, shape (runs, analyses, metrics).
    """
    steps = make_generator(0, "power").standard_normal((_RUNS, analyses, metrics))
    return steps.cumsum(axis=1) / np.sqrt(np.arange(1, analyses + 1))[:, np.newaxis]


def describe(planned: Plan) -> str:
    """Describe the plan in lines for the terminal."""
    rule = "a fixed horizon, interim analyses on the way"
    if planned.rule == "any-time":
        rule = (
            f"analyses at any time, with expected_listeners: {planned.listeners} "
            "in the report's configuration"
        )
    guardrails = ""
    if planned.guardrails:
        guardrails = f", guardrails {', '.join(planned.guardrails)}"
    if planned.not_planned:
        guardrails += f" (not planned for: {', '.join(planned.not_planned)})"
    takes = (
        f"an effect of {100 * planned.effect:+.4g} % takes "
        f"{planned.listeners:,} listeners in all arms"
    )
    if planned.days is None:
        takes += ", and the log gains no new ones: it cannot be found"
    else:
        takes += f", {planned.days:,} days"
        if planned.days > planned.log_days:
            takes += ", extrapolated from the arrivals so far"
    return (
        f"{planned.metric}: mean {planned.mean:.4g}, standard deviation "
        f"{planned.deviation:.4g} over listeners\n"
        f"planned: {planned.arms} arms, {rule}{guardrails}\n"
        f"this log: {planned.log_listeners:,} listeners in {planned.log_days} days\n"
        f"with power {planned.power:g}, {takes}"
    )


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
