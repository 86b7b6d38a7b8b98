"""Make the leaderboard, as rows and as a table, and remarks on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from analysis.page import numbers
from recsys.config import Search
from recsys.models.kinds import shown_params
from recsys.runs.ledger import Score
from recsys.runs.ranking import RankedTrial, scored_candidates
from recsys.runs.trials import Trial, plan_wider
from recsys.scoring import SEGMENTS

WARNING = "Warning:"
_SHORT = {"regularization": "reg", "unobserved_weight": "unobserved"}
_PRINTED = 20  # ranks


def leaderboard_rows(ranking: Sequence[RankedTrial]) -> list[dict[str, Any]]:
    """Return a row for each candidate and baseline, best first, all with the same keys."""
    records = [_record(rank, row) for rank, row in enumerate(ranking, start=1)]
    empty = dict.fromkeys(key for record in records for key in record)
    return [empty | record for record in records]


def leaderboard_table(ranking: Sequence[RankedTrial], select: str) -> Table:
    """Return the leaderboard as it is printed: by the choosing metric."""
    table = Table(
        title=f"Leaderboard by {select}, with its 95 % interval over listeners"
    )
    if len(ranking) > _PRINTED:
        table.caption = f"the report has all {len(ranking)}"
    table.add_column("", justify="right")
    table.add_column("model", overflow="fold")
    for heading in (select, "interval", *SEGMENTS, "tied", "fit s", "stopped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rank, ranked in enumerate(ranking[:_PRINTED], start=1):
        model = describe(ranked.trial)
        if ranked.sweep:
            model += f", {ranked.sweep} sweeps"
        stopped = f"{ranked.state} at {ranked.stop.sweep}" if ranked.stop else ""
        table.add_row(str(rank), model, *_scored_cells(ranked, select), stopped)
    return table


def _scored_cells(ranked: RankedTrial, select: str) -> list[str]:
    """Return the cells from the value to the seconds."""
    score = ranked.score
    if score is None:
        return [""] * (4 + len(SEGMENTS))
    value, lower, upper = score.metrics[select]
    cells = [f"{value:.4f}", f"{lower:.4f} … {upper:.4f}"]
    for segment in SEGMENTS:
        found = score.metrics.get(f"{segment}_{select}")
        cells.append(f"{found[0]:.4f}" if found else "")
    return [*cells, "yes" if ranked.ties else "", f"{score.fit_s:.1f}"]


def describe(trial: Trial) -> str:
    """Describe a fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    return describe_model(trial.kind, asdict(trial.params))


def describe_model(kind: str, params: Mapping[str, Any]) -> str:
    """Describe a model in a few words by its kind and hyperparameters."""
    shown = [
        f"{_SHORT.get(name, name)} {text_of(value)}"
        for name, value in shown_params(kind, params).items()
    ]
    return f"{kind} {', '.join(shown)}".strip()


def remarks(
    ranking: Sequence[RankedTrial], chosen: RankedTrial, metric: str, search: Search
) -> list[str]:
    """Say whether the order is noise, why the winner won, and what to try next."""
    found = []
    _, *others = scored_candidates(ranking)
    ties = sum(ranked.ties for ranked in others)
    if ties:
        are = "are" if ties > 1 else "is"
        everyone = ", so this order is noise" if ties == len(others) else ""
        found.append(
            f"{ties} of the {len(others)} candidates behind the best {are} tied with it: "
            f"the interval of the difference in {metric}, at 95 % for all pairs at once, "
            f"reaches 0{everyone}"
        )
    worth = chosen.value(metric)
    score = chosen.score or Score(chosen.sweep)
    if metric in score.test:
        value, lower, upper = score.test[metric]
        found.append(
            f"The winner's {metric} of {worth:.4f} is the highest of many, and so looks "
            "better than it is; on the listeners who chose nothing it is "
            f"{value:.4f} ({lower:.4f} … {upper:.4f})"
        )
    if ranking[0].trial.is_baseline:
        baseline = ranking[0].trial.id
        found.append(f"{WARNING} the baseline {baseline} is better than every trial")
    if metric in score.warnings:
        found.append(
            f"{WARNING} {metric} chose, and should not be concluded from: "
            f"{score.warnings[metric]}"
        )
    edges = plan_wider(chosen.trial, [ranked.trial for ranked in ranking], "")
    if edges and not search.widen:
        found.append(
            f"The winner is at the edge of what was tried: widen {name_axes(chosen.trial, edges)}, "
            "or set search.widen: true"
        )
    return found


def name_axes(trial: Trial, axes: Iterable[str]) -> str:
    """Return the settings that are axes of a trial's kind, such as "search.space.factors"."""
    section = "space" if trial.kind == "als" else f"models.{trial.kind}"
    return ", ".join(f"search.{section}.{axis}" for axis in sorted(axes))


def remark_on_baselines(
    baselines: Sequence[RankedTrial], metric: str, *, on_test: bool
) -> str:
    """Say how far the winner is above the best simple rule."""
    behind = {ranked.trial.id: ranked.behind for ranked in baselines if ranked.behind}
    if not behind:
        return f"{WARNING} no baseline could be scored"
    best = max(behind, key=lambda name: behind[name][0])
    value, lower, upper = behind[best]
    listeners = " on the listeners who chose nothing" if on_test else ""
    return (
        f"The best simple rule is {best}; the winner's {metric} less that of the rule: "
        f"{-value:+.4f} ({-upper:+.4f} … {-lower:+.4f}){listeners}"
    )


def text_of(value: float | str | None) -> str:
    """Format a hyperparameter's value, which a baseline has none of."""
    if value is None:
        return numbers.NOTHING
    if isinstance(value, (bool, str)):
        return str(value)
    return f"{value:g}"


def _record(rank: int, ranked: RankedTrial) -> dict[str, Any]:
    score, stop = ranked.score, ranked.stop
    warnings = score.warnings if score else {}
    record: dict[str, Any] = {
        "rank": rank,
        "trial": ranked.trial.id,
        "model": ranked.trial.kind,
        "state": ranked.state,
        "why": stop.reason if stop else None,
        "stopped_at": stop.sweep if stop else None,
        "sweep": score.sweep if score else None,
        "fit_s": score.fit_s if score else None,
        "warnings": "; ".join(f"{key}: {why}" for key, why in warnings.items()) or None,
        "ties": ranked.ties if ranked.behind else None,
        **asdict(ranked.trial.params),
    }
    intervals: dict[str, Any] = {"behind": ranked.behind or (None, None, None)}
    if score:
        intervals |= score.metrics
    for key, (value, lower, upper) in intervals.items():
        record |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return record
