"""The leaderboard as a file and as a table, and what is to be known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from analysis.page import numbers
from looplib.files import atomic_write
from recsys.config import OPE_TIME, Search
from recsys.models.kinds import KINDS, shown_params
from recsys.runs.ranking import Compare, Row, scored_candidates
from recsys.runs.trials import Trial

WARNING = "Warning:"
_SHORT = {"regularization": "reg", "unobserved_weight": "unobserved"}
_PRINTED = 20  # ranks
_WIDENED = (
    "factors",
    "regularization",
    "alpha",
    "unobserved_weight",
    "nu",
    "skip_weight",
)
_SHOWN = {name for kind in KINDS.values() for name in kind.main_params}


def write_leaderboard(file: Path, ranking: Sequence[Row]) -> None:
    """Write the rows of the leaderboard to a Parquet file."""
    with atomic_write(file) as handle:
        pq.write_table(pa.Table.from_pylist(leaderboard_rows(ranking)), handle)


def leaderboard_rows(ranking: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row for each candidate and baseline, best first, all with the same keys."""
    records = [_record(rank, row) for rank, row in enumerate(ranking, start=1)]
    empty = dict.fromkeys(key for record in records for key in record)
    return [empty | record for record in records]


def leaderboard_table(ranking: Sequence[Row], select: str) -> Table:
    """Return the leaderboard as it is printed: the choosing metric with its interval, and others at the same k."""
    k = select.partition("@")[2]
    known = {key for row in ranking if row.score for key in row.score.metrics}
    other = (
        "ndcg"
        if select.startswith(OPE_TIME)
        else OPE_TIME
        if f"{OPE_TIME}@{k}" in known
        else "recall"
    )
    others = [
        key
        for key in (f"{other}@{k}", f"coverage@{k}")
        if key != select and key in known
    ]
    axes = telling_axes(
        [asdict(row.trial.params) for row in ranking if not row.trial.is_baseline]
    )
    headings = [
        *(_SHORT.get(axis, axis) for axis in axes),
        "sweep",
        select,
        "interval",
        "tied",
        *others,
        "fit s",
    ]
    more = f"the report has all {len(ranking)}" if len(ranking) > _PRINTED else None
    table = Table(
        title=f"Leaderboard by {select}, with its 95 % interval over listeners",
        caption=more,
    )
    for heading in ("", "model", *headings, "stopped"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.columns[1].justify = table.columns[-1].justify = "left"
    for rank, row in enumerate(ranking[:_PRINTED], start=1):
        params, score = asdict(row.trial.params), row.score
        found = [""] * (len(others) + 4)
        if score:
            value, lower, upper = score.metrics[select]
            values = (
                f"{score.metrics[key][0]:.4f}" if key in score.metrics else ""
                for key in others
            )
            interval = f"{lower:.4f} … {upper:.4f}"
            found = [
                f"{value:.4f}",
                interval,
                "yes" if row.ties else "",
                *values,
                f"{score.fit_s:.1f}",
            ]
        stop = f"{row.state} at {row.stop.sweep}" if row.stop else ""
        cells = (text_of(params[axis]) if axis in params else "" for axis in axes)
        table.add_row(
            str(rank), row.trial.kind, *cells, str(row.sweep or ""), *found, stop
        )
    return table


def describe(trial: Trial) -> str:
    """Return a fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    return f"{trial.kind} {describe_params(shown_params(trial.kind, asdict(trial.params)))}".strip()


def describe_params(params: Mapping[str, float | str]) -> str:
    """Return hyperparameters in a few words, such as "factors 64, reg 0.1, alpha 10"."""
    return ", ".join(
        f"{_SHORT.get(name, name)} {text_of(value)}" for name, value in params.items()
    )


def telling_axes(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the main hyperparameters, and of those in which candidates differ."""
    names = dict.fromkeys(name for params in candidates for name in params)
    return [
        name
        for name in names
        if name in _SHOWN or len({params.get(name) for params in candidates}) > 1
    ]


def remarks(
    ranking: Sequence[Row], chosen: Row, metric: str, search: Search
) -> list[str]:
    """Return what is to be known of the leaderboard: is its order noise, why did the winner win, what to try next."""
    found = []
    best, *others = scored_candidates(ranking)
    ties = sum(row.ties for row in others)
    if ties:
        everyone = ", so this order is noise" if ties == len(others) else ""
        found.append(
            f"{ties} of the {len(others)} candidates behind the best {'are' if ties > 1 else 'is'} tied with it: "
            f"the interval of the difference in {metric}, at 95 % for all pairs at once, reaches 0{everyone}"
        )
    if chosen.key != best.key:
        found.append(
            f"Chosen: {describe(chosen.trial)} after {chosen.sweep} sweeps, {metric} {chosen.value(metric):.4f}: the "
            f"simplest that is tied with the best, {best.value(metric):.4f}"
        )
    if chosen.score and metric in chosen.score.test:
        worth, (value, lower, upper) = chosen.value(metric), chosen.score.test[metric]
        found.append(
            f"The winner's {metric} of {worth:.4f} is the highest of many, and so looks better than it is; on the "
            f"listeners who chose nothing it is {value:.4f} ({lower:.4f} … {upper:.4f})"
        )
    if ranking[0].trial.is_baseline:
        found.append(
            f"{WARNING} the baseline {ranking[0].trial.id} is better than every trial"
        )
    if chosen.score and metric in chosen.score.warnings:
        found.append(
            f"{WARNING} {metric} chose, and should not be concluded from: {chosen.score.warnings[metric]}"
        )
    if edges := edges_of(chosen, search):
        names = ", ".join(
            f"{_SHORT.get(name, name)} {text_of(asdict(chosen.trial.params)[name])}"
            for name in edges
        )
        wider = " ".join(
            f"--set search.space.{name}={values}" for name, values in edges.items()
        )
        found.append(
            f"The winner is at the edge of what was tried ({names}): widen it with --fresh {wider}"
        )
    return found


def edges_of(chosen: Row, search: Search) -> dict[str, str]:
    """Return the axes at whose edge the winner is, each with its values and one more beyond, as `--set` takes them."""
    found = {}
    for name, value in asdict(chosen.trial.params).items():
        axis = sorted(set(getattr(search.space, name, ())))
        if (
            name not in _WIDENED
            or len(axis) < 2
            or value not in (axis[0], axis[-1])
            or not value
        ):
            continue
        ends = axis if value == axis[-1] else axis[::-1]
        beyond = value * (value / ends[-2] if ends[-2] else 2)
        beyond = max(1, round(beyond)) if name == "factors" else float(f"{beyond:.3g}")
        if beyond != value:
            found[name] = (
                f"[{','.join(text_of(tried) for tried in sorted({*axis, beyond}))}]"
            )
    return found


def warn_of_rival(
    best: Row, rivals: Sequence[Row], compare: Compare, metrics: tuple[str, str]
) -> list[str]:
    """Warn that the choosing metric and another would choose differently; no warning where that may be chance.

    `best` is the first by the choosing metric, `rivals` the ranking by the other; `metrics` are
    both, and `compare` compares rows by the one that is the listening time.
    """
    rival, (metric, other) = scored_candidates(rivals)[0], metrics
    if rival.key == best.key:
        return []
    value, lower, upper = compare([best, rival], best)[1].behind or (0, 0, 0)
    if lower <= 0 <= upper:
        return []
    time = metric if metric.startswith(OPE_TIME) else other
    more = f"{abs(value):.4f} {'more' if value > 0 else 'less'}"
    return [
        f"{WARNING} {metric} and {other} disagree: {other} puts {describe(rival.trial)} after "
        f"{rival.sweep} sweeps first, whose {time} is {more} ({lower:+.4f} … {upper:+.4f}) than that of "
        f"{describe(best.trial)} after {best.sweep}; an experiment measures the listening time"
    ]


def text_of(value: float | str | None) -> str:
    """Format a hyperparameter's value, which a baseline has none of."""
    return (
        numbers.NOTHING
        if value is None
        else str(value)
        if isinstance(value, (bool, str))
        else f"{value:g}"
    )


def _record(rank: int, row: Row) -> dict[str, Any]:
    score = row.score
    record: dict[str, Any] = {
        "rank": rank,
        "trial": row.trial.id,
        "model": row.trial.kind,
        "state": row.state,
        "why": row.stop.reason if row.stop else None,
        "stopped_at": row.stop.sweep if row.stop else None,
        "sweep": score.sweep if score else None,
        "fit_s": score.fit_s if score else None,
        "peak_bytes": score.peak_bytes if score else None,
        "warnings": "; ".join(
            f"{key}: {reason}" for key, reason in score.warnings.items()
        )
        or None
        if score
        else None,
        "ties": row.ties if row.behind else None,
    }
    intervals = {
        "behind": row.behind or (None, None, None),
        **(score.metrics if score else {}),
    }
    record |= asdict(row.trial.params)
    for key, (value, lower, upper) in intervals.items():
        record |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return record
