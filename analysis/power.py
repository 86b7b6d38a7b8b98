"""`listening-loop power`: compute from a past log how many listeners and days an experiment takes.

The plan assumes the verdict that will decide: its stopping rule, arms, primary metrics and
guardrails. An arm ships if, at the end, its effect exceeds the rule's bound at the level that
remains after Bonferroni's correction for all comparisons, and every guardrail is surely within its
margin. The estimates of large arms are normal, so the chance to ship is a normal distribution
function: for a single metric, the sample size is that of a single test with the rule's bound in
place of 1.96. Wins at earlier analyses that the last analysis would not repeat are not counted;
with a fixed horizon, 4 to 8 % fewer listeners would do.

The plan takes listeners and their arrivals as they are in the log. A log as long as the planned
experiment gives the best plan.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import typer

from looplib.arrays import FloatArray
from looplib.cli import Overrides, importing, make_app, run

with importing():
    import numpy as np
    from scipy import optimize

    from analysis.ab.config import AbConfig, FixedHorizon, plan_document
    from analysis.ab.events import assign_arms, read_arrivals, read_events
    from analysis.ab.interim import InterimAnalysis
    from analysis.ab.listeners import measure, open_values
    from analysis.ab.metrics import Metric
    from analysis.errors import AnalysisError
    from analysis.planning import Logs, OutFile
    from looplib.config import load_config
    from looplib.experiments import Experiment
    from looplib.files import atomic_write_json
    from looplib.randomness import make_generator

_FEWEST = 10  # listeners of whom a variance says anything
_TRACE = 1e-12  # added to variances, as constant and equal metrics have no density

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
    """Print the sample size and duration of a planned experiment."""
    if (effect is None) == (listeners is None):
        raise AnalysisError("name either --effect, such as 5%, or --listeners")
    document = plan_document(
        load_config(Experiment, experiment) if experiment else None
    )
    settings = load_config(AbConfig, config, overrides or [], above=document)
    if rule:
        horizon = settings.fixed_horizon or FixedHorizon(listeners=1)
        update = {"fixed_horizon": horizon if rule == "fixed-horizon" else None}
        settings = settings.model_copy(update=update)
    planned = plan(
        read_log(logs, settings),
        settings,
        effect=parse_effect(effect) if effect else 0.0,
        listeners=listeners or 0,
        arms=arms,
    )
    if out:
        atomic_write_json(out, planned)
    typer.echo(describe(planned))


def parse_effect(text: str) -> float:
    """Parse a relative effect such as "5%" or "0.05"; a negative effect is a decrease.

    Raises:
        AnalysisError: The effect is 0, is -100 % or less, or may be meant as a percentage.
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
    """Statistics of a past log, from which an experiment is planned."""

    metrics: Sequence[Metric]  # the first primary one, and guardrails but for quantiles
    means: FloatArray  # of the metrics
    # of one listener's shares in the gains of the metrics, each in units of its mean
    covariances: FloatArray
    arrivals: FloatArray  # new listeners on each day, from the first to the last

    @classmethod
    def of(
        cls,
        metrics: Sequence[Metric],
        sums: Iterable[tuple[FloatArray, FloatArray]],
        arrivals: FloatArray,
    ) -> Self:
        """Summarize a log by means, covariances and arrivals.

        Args:
            metrics: The first primary metric, then guardrails that are not quantiles.
            sums: Numerators and denominators of each metric, each of shape (listeners,).
            arrivals: Number of new listeners on each day, from the first day to the last.
        """
        means, gains = [], []
        for metric, pair in zip(metrics, sums, strict=True):
            above, below = pair[0].mean(), pair[1].mean()
            means.append(above / below if above else 0.0)
            # delta method: shares of a ratio are differences of shares
            shares = pair[0] / above - pair[1] / below if above else 0.0 * pair[0]
            gains.append(shares if metric.is_higher else -shares)
        covariances = np.cov(gains) + _TRACE * np.eye(len(gains))
        return cls(metrics, np.array(means), covariances, arrivals)

    def days_until(self, listeners: float) -> int | None:
        """Predict the days until so many listeners have arrived; None if never."""
        arrived = np.cumsum(self.arrivals)
        if listeners <= arrived[-1]:
            return int(np.argmax(arrived >= listeners)) + 1
        # later days are like the latter half
        daily = float(self.arrivals[len(arrived) // 2 :].mean())
        if not daily:
            return None
        return len(arrived) + math.ceil((listeners - float(arrived[-1])) / daily)


def read_log(logs: Sequence[str | Path], config: AbConfig) -> PastLog:
    """Read the metrics and arrivals of past logs, as the configuration of a report defines them.

    Raises:
        AnalysisError: The logs cannot be read.
    """
    limited = (config.all_metrics[name] for name in config.limits)
    metrics = [
        metric for metric in (config.deciding[0], *limited) if metric.quantile is None
    ]
    sums = []
    with read_events(logs) as events:
        (logged,) = assign_arms(events, None).values()
        days, arms, _ = read_arrivals(events)
        (listeners,) = arms.values()
        measure(events, config, {}, logged["first_ms"])
        for metric in metrics:
            values = (
                open_values(events, metric.name).filter("segment = ''").to_arrow_table()
            )
            # a listener without a value adds nothing
            numerators, denominators = (
                np.nan_to_num(values[name].to_numpy())
                for name in ("numerator", "denominator")
            )
            sums.append((numerators, denominators))
    arrivals = np.zeros(days[-1] - days[0] + 1)
    arrivals[days - days[0]] = listeners
    return PastLog.of(metrics, sums, arrivals)


@dataclass(frozen=True)
class Plan:
    """Size and duration of an experiment."""

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
    days: int | None  # days until they have come; None if they never do
    log_listeners: int  # in the experiment at the end of the log
    log_days: int  # its length; later days follow from the arrivals of its latter half


def plan(
    log: PastLog,
    config: AbConfig,
    *,
    effect: float = 0.0,
    listeners: int = 0,
    arms: int = 2,
) -> Plan:
    """Compute the sample size for an effect, or the smallest detectable effect for a sample size.

    Args:
        log: Statistics of a past log.
        config: Configuration of the report that will decide.
        effect: The relative effect to detect; 0 computes the smallest detectable effect.
        listeners: Number of listeners in all arms, if no effect is given.
        arms: Number of arms, including the control, if the configuration has no shares.

    Raises:
        AnalysisError: A metric does not vary or has a mean of 0, or no sample size or effect is
            enough.
    """
    metric, *guardrails = log.metrics
    mean = float(log.means[0])
    deviation = abs(mean) * math.sqrt(log.covariances[0, 0])
    if log.covariances[0, 0] < 2 * _TRACE or log.arrivals.sum() < _FEWEST:
        raise AnalysisError(
            f"metric {metric.name}: the log has too few listeners, or all have the same; "
            "nothing to plan from"
        )
    # the control first
    by_arm = sorted(config.shares.items(), key=lambda arm: arm[0] != config.control)
    weights = np.array([share for _, share in by_arm] or [1.0] * arms)
    weights /= weights.sum()

    def missing(effect: float, listeners: float) -> float:
        return config.power - ship_probability(log, config, weights, effect, listeners)

    if effect:
        refusal = f"no number of listeners finds an effect of {100 * effect:.3g} %"
        size = _root(lambda count: missing(effect, count), 2.0, 1e12, refusal)
        listeners = math.ceil(round(size, 3))
    else:
        refusal = (
            f"{listeners:,} listeners find no effect below 100 % within guardrails"
        )
        effect = _root(lambda effect: missing(effect, listeners), 0.0, 1.0, refusal)
    days = log.days_until(listeners)
    quantiles = (name for name in config.limits if config.all_metrics[name].quantile)
    return Plan(
        metric=metric.name,
        mean=mean,
        deviation=deviation,
        effect=effect,
        power=config.power,
        rule="fixed-horizon" if config.fixed_horizon else "any-time",
        arms=len(weights),
        guardrails=tuple(guardrail.name for guardrail in guardrails),
        not_planned=tuple(quantiles),
        listeners=listeners,
        days=days and max(days, config.min_days),
        log_listeners=int(log.arrivals.sum()),
        log_days=len(log.arrivals),
    )


def _root(
    missing: Callable[[float], float], low: float, high: float, refusal: str
) -> float:
    """Find the smallest value that reaches the wanted power, or raise the refusal."""
    if missing(high) > 0:
        raise AnalysisError(f"power: {refusal}; plan with more")
    return float(optimize.bisect(missing, low, high, xtol=1e-6))


def ship_probability(
    log: PastLog,
    config: AbConfig,
    weights: FloatArray,
    effect: float,
    listeners: float,
) -> float:
    """Compute the probability that an arm with an effect ships when the planned size is reached.

    If a verdict must be confirmed on a second day, the analysis of the day before counts: it has
    fewer listeners and a higher bound.

    >>> from analysis.ab.metrics import METRICS
    >>> time = np.array([2.0, 4.0] * 50)
    >>> log = PastLog.of([METRICS["time"]], [(time, np.ones(100))], np.ones(7))
    >>> config = AbConfig(fixed_horizon=FixedHorizon(listeners=1, interim_analyses=1))
    >>> round(ship_probability(log, config, np.full(2, 0.5), 0.05, 1480), 3)
    0.8

    Args:
        log: Statistics of a past log; every arm is assumed to have such listeners, apart from the
            effect.
        config: Configuration of the report that will decide.
        weights: Share of the listeners in each arm, the control first.
        effect: Effect of the second arm on the first metric, relative to the metric's mean.
        listeners: The planned number of listeners in all arms.
    """
    from scipy.stats import multivariate_normal  # takes a second to import

    share = 1.0
    days = log.days_until(listeners)
    if config.confirm and not config.fixed_horizon and days:
        # the verdict waits for `min_days`, and all listeners may come before
        early = min(listeners, float(log.arrivals[: config.min_days - 1].sum()))
        share = max(1 - 1 / days, early / listeners)
    so_far = share * listeners * weights
    if so_far.min() < config.min_listeners:
        return 0.0
    # logarithms of the ratios to exclude
    gains = [abs(effect)]
    for metric, mean in zip(log.metrics[1:], log.means[1:].tolist(), strict=True):
        limit = config.limits[metric.name]
        margin = (limit.margin_pct or 0.0) / 100
        if limit.margin is not None:
            margin = limit.margin / (abs(mean) or 1.0)
        worst = 1 - margin if metric.is_higher else 1 + margin
        gains.append(abs(math.log(max(worst, 0.01))))
    # the deviation of the first metric grows with its mean
    growth = np.array([1 + effect] + [1.0] * len(gains[1:]))
    scales = np.sqrt(1 / so_far[0] + growth**2 / so_far[1])
    comparisons = len(config.deciding) * (len(weights) - 1)
    levels = [config.alpha / comparisons] + [config.alpha] * len(gains[1:])
    # sizes are shares of the planned size, which is the expected size if there is no horizon
    expecting = config.model_copy(update={"expected_listeners": 1})
    analysis = InterimAnalysis(expecting, share)
    bounds = [analysis.errors(level, share) for level in levels]
    spare = gains / scales - bounds * np.sqrt(log.covariances.diagonal())
    generator = make_generator(0, "power")
    return float(
        multivariate_normal.cdf(
            spare, cov=log.covariances, allow_singular=True, rng=generator
        )
    )


def describe(planned: Plan) -> str:
    """Describe a plan in a few lines of text for the terminal."""
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
