"""The leaderboard as a file and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from looplib.files import atomic_write
from recsys.config import OPE_TIME
from recsys.models.als import AlsParams
from recsys.runs.ranking import Disagreement, Ranked
from recsys.runs.scores import Result

_SHOWN = ("factors", "regularization", "alpha")
WARNING = "Warning:"
_SHORT = {"regularization": "reg"}
_DEFAULTS = asdict(AlsParams(0, 0.0, 0.0))


def write_leaderboard(file: Path, ranking: Sequence[Ranked]) -> None:
    """Writes a row for each candidate and baseline.

    What it is and what became of it, its best sweep, every metric with both ends of its interval, and how far it is
    behind the best candidate by the choosing metric.
    """
    rows = [_row(place, standing) for place, standing in enumerate(ranking, start=1)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    with atomic_write(file) as handle:
        pq.write_table(table, handle)


def leaderboard_table(ranking: Sequence[Ranked], select: str) -> Table:
    """The leaderboard as it is printed: the choosing metric with its interval, and its fellows at the same k."""
    k = select.partition("@")[2]
    known = {key for row in ranking if row.score for key in row.score.metrics}
    fellow = "ndcg" if select.startswith(OPE_TIME) else OPE_TIME if f"{OPE_TIME}@{k}" in known else "recall"
    others = [key for key in (f"{fellow}@{k}", f"coverage@{k}") if key != select and key in known]
    axes = telling_axes([row.first.params for row in ranking if not row.is_baseline])
    table = Table(title=f"Leaderboard by {select}, with its 95 % interval over listeners; =: no worse for certain")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for heading in (*(_SHORT.get(axis, axis) for axis in axes), "sweep", select, "interval", "", *others, "fit s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for place, standing in enumerate(ranking, start=1):
        table.add_row(str(place), *_cells(standing, axes, select, others))
    return table


def describe(result: Result) -> str:
    """A fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    told = {name: value for name, value in result.params.items() if name in _SHOWN or value != _DEFAULTS[name]}
    return f"{result.model} {describe_params(told)}".strip()


def describe_params(params: Mapping[str, float | str]) -> str:
    """Hyperparameters in a few words, such as "factors 64, reg 0.1, alpha 10"."""
    return ", ".join(f"{_SHORT.get(name, name)} {_text(value)}" for name, value in params.items())


def telling_axes(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of candidates' hyperparameters those that tell them apart, and the three that everybody looks for."""
    names = candidates[0] if candidates else ()
    return [name for name in names if name in _SHOWN or len({each[name] for each in candidates}) > 1]


def remarks(ranking: Sequence[Ranked], chosen: Ranked, metric: str) -> list[str]:
    """What is to be known of the leaderboard: whether its order is noise, why the winner is chosen, what beats it."""
    said = []
    candidates = [row for row in ranking if row.score and not row.is_baseline]
    best = candidates[0]
    ties = sum(row.ties for row in candidates[1:])
    if ties:
        everyone = ", so this order is noise" if ties == len(candidates) - 1 else ""
        said.append(
            f"{ties} of the {len(candidates) - 1} candidates behind the best cannot be told from it: the paired 95 % "
            f"interval of the difference in {metric} reaches 0{everyone}"
        )
    if (chosen.first.id, chosen.sweep) != (best.first.id, best.sweep):
        said.append(
            f"Chosen: {describe(chosen.first)} after {chosen.sweep} sweeps, {metric} {chosen.value(metric):.4f}: the "
            f"simplest that cannot be told from the best, {best.value(metric):.4f}"
        )
    if ranking[0].is_baseline:
        said.append(f"{WARNING} the baseline {ranking[0].first.id} is better than every trial")
    if chosen.score and metric in chosen.score.warnings:
        said.append(f"{WARNING} {metric} chose, and should not be concluded from: {chosen.score.warnings[metric]}")
    return said


def warn_of(found: Disagreement, best: Ranked, metric: str, rival: str) -> str | None:
    """That the ranking metric and the listening time would choose differently; None where that may be chance.

    Args:
        found: What they disagree in.
        best: The best by the choosing metric.
        metric: The choosing metric.
        rival: The other.
    """
    value, lower, upper = found.value
    if lower <= 0 <= upper:
        return None
    time = next(key for key in (metric, rival) if key.startswith(OPE_TIME))
    more = f"{abs(value):.4f} {'more' if value > 0 else 'less'}"
    return (
        f"{WARNING} {metric} and {rival} disagree: {rival} puts {describe(found.rival.first)} after "
        f"{found.rival.sweep} sweeps first, whose {time} is {more} ({lower:+.4f} .. {upper:+.4f}) than that of "
        f"{describe(best.first)} after {best.sweep}; an experiment measures the listening time"
    )


def _text(value: float | str) -> str:
    return str(value) if isinstance(value, (bool, str)) else f"{value:g}"


def _cells(standing: Ranked, axes: Sequence[str], select: str, others: Sequence[str]) -> list[str]:
    params = standing.first.params
    values = [_text(params[name]) if params else "" for name in axes]
    fate = _fate(standing)
    if standing.score is None:
        return [standing.first.model, *values, *[""] * (5 + len(others)), fate]
    metrics = standing.score.metrics
    value, lower, upper = metrics[select]
    return [
        standing.first.model,
        *values,
        str(standing.sweep) if standing.sweep else "",
        f"{value:.4f}",
        f"{lower:.4f} .. {upper:.4f}",
        "=" if standing.ties else "",
        *(f"{metrics[key][0]:.4f}" for key in others),
        f"{standing.score.fit_s:.1f}",
        fate,
    ]


def _fate(standing: Ranked) -> str:
    if standing.state == "scored" or standing.given_up is None:
        return ""
    sample = "" if standing.given_up.listeners == 1 else f" ({standing.given_up.listeners:.0%})"
    return f"{standing.state} at {standing.given_up.sweep}{sample}"


def _row(place: int, standing: Ranked) -> dict[str, Any]:
    score = standing.score
    row: dict[str, Any] = {
        "place": place,
        "trial": standing.first.id,
        "model": standing.first.model,
        "state": standing.state,
        "why": standing.why,
        "given_up_at": standing.given_up.sweep if standing.given_up else None,
        "given_up_listeners": standing.given_up.listeners if standing.given_up else None,
        "seeds": len(standing.results),
        "sweep": score.point.sweep if score else None,
        "fit_s": score.fit_s if score else None,
        "score_s": score.score_s if score else None,
        "peak_bytes": score.peak_bytes if score else None,
        "warnings": "; ".join(f"{key}: {reason}" for key, reason in score.warnings.items()) or None if score else None,
        "ties": standing.ties if standing.behind else None,
        **dict(zip(("behind", "behind lower", "behind upper"), standing.behind or [None] * 3, strict=True)),
        **standing.first.params,
    }
    if score:
        for key, (value, lower, upper) in score.metrics.items():
            row |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return row
