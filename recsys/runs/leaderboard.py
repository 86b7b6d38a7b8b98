"""The leaderboard as a file and as a table, and what is to be known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from looplib.files import atomic_write
from recsys.config import OPE_TIME
from recsys.models.kinds import KINDS, shown_params
from recsys.runs.ranking import Row
from recsys.runs.trials import Trial
from recsys.scoring.off_policy import Interval

WARNING = "Warning:"
_SHORT = {"regularization": "reg"}
_SHOWN = {name for kind in KINDS.values() for name in kind.main_params}


def write_leaderboard(file: Path, ranking: Sequence[Row]) -> None:
    """Write a Parquet row for each candidate and baseline, best first."""
    records = _records(ranking)
    columns = list(dict.fromkeys(key for record in records for key in record))
    table = pa.table({column: [record.get(column) for record in records] for column in columns})
    with atomic_write(file) as handle:
        pq.write_table(table, handle)


def leaderboard_table(ranking: Sequence[Row], select: str) -> Table:
    """Return the leaderboard as it is printed: the choosing metric with its interval, and others at the same k."""
    k = select.partition("@")[2]
    known = {key for row in ranking if row.score for key in row.score.metrics}
    other = "ndcg" if select.startswith(OPE_TIME) else OPE_TIME if f"{OPE_TIME}@{k}" in known else "recall"
    others = [key for key in (f"{other}@{k}", f"coverage@{k}") if key != select and key in known]
    axes = telling_axes([asdict(row.trial.params) for row in ranking if not row.trial.is_baseline])
    table = Table(title=f"Leaderboard by {select}, with its 95 % interval over listeners; =: tied with the best")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for heading in (*(_SHORT.get(axis, axis) for axis in axes), "sweep", select, "interval", "", *others, "fit s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for record in _records(ranking):
        table.add_row(*_cells(record, axes, select, others))
    return table


def describe(trial: Trial) -> str:
    """Return a fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    return f"{trial.kind} {describe_params(shown_params(trial.kind, asdict(trial.params)))}".strip()


def describe_params(params: Mapping[str, float | str]) -> str:
    """Return hyperparameters in a few words, such as "factors 64, reg 0.1, alpha 10"."""
    return ", ".join(f"{_SHORT.get(name, name)} {_text(value)}" for name, value in params.items())


def telling_axes(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the main hyperparameters, and of those in which candidates differ."""
    names = dict.fromkeys(name for params in candidates for name in params)
    return [name for name in names if name in _SHOWN or len({params.get(name) for params in candidates}) > 1]


def remarks(ranking: Sequence[Row], chosen: Row, metric: str) -> list[str]:
    """Return what is to be known of the leaderboard: whether its order is noise, why the winner won, what beats it."""
    found = []
    candidates = [row for row in ranking if row.score and not row.trial.is_baseline]
    best = candidates[0]
    ties = sum(row.ties for row in candidates[1:])
    if ties:
        everyone = ", so this order is noise" if ties == len(candidates) - 1 else ""
        found.append(
            f"{ties} of the {len(candidates) - 1} candidates behind the best are tied with it: the paired 95 % "
            f"interval of the difference in {metric} reaches 0{everyone}"
        )
    if (chosen.trial.id, chosen.sweep) != (best.trial.id, best.sweep):
        found.append(
            f"Chosen: {describe(chosen.trial)} after {chosen.sweep} sweeps, {metric} {chosen.value(metric):.4f}: the "
            f"simplest that is tied with the best, {best.value(metric):.4f}"
        )
    if ranking[0].trial.is_baseline:
        found.append(f"{WARNING} the baseline {ranking[0].trial.id} is better than every trial")
    if chosen.score and metric in chosen.score.warnings:
        found.append(f"{WARNING} {metric} chose, and should not be concluded from: {chosen.score.warnings[metric]}")
    return found


def warn_of(rival: Row, gain: Interval, best: Row, metrics: tuple[str, str]) -> str | None:
    """Warn that the choosing metric and the other would choose differently; None where that may be chance.

    Args:
        rival: The first by the other metric.
        gain: How much longer its recommendations would be listened to than those of the best.
        best: The first by the choosing metric.
        metrics: The choosing metric, and the other; one is the listening time.
    """
    metric, other = metrics
    value, lower, upper = gain
    if lower <= 0 <= upper:
        return None
    time = next(key for key in metrics if key.startswith(OPE_TIME))
    more = f"{abs(value):.4f} {'more' if value > 0 else 'less'}"
    return (
        f"{WARNING} {metric} and {other} disagree: {other} puts {describe(rival.trial)} after "
        f"{rival.sweep} sweeps first, whose {time} is {more} ({lower:+.4f} .. {upper:+.4f}) than that of "
        f"{describe(best.trial)} after {best.sweep}; an experiment measures the listening time"
    )


def _text(value: float | str | None, digits: str = "g") -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, (bool, str)) else f"{value:{digits}}"


def _cells(record: Mapping[str, Any], axes: Sequence[str], select: str, others: Sequence[str]) -> list[str]:
    interval = f"{record[f'{select} lower']:.4f} .. {record[f'{select} upper']:.4f}" if select in record else ""
    return [
        str(record["place"]),
        record["model"],
        *(_text(record.get(axis)) for axis in axes),
        _text(record["sweep"] or None),
        _text(record.get(select), ".4f"),
        interval,
        "=" if record["ties"] else "",
        *(_text(record.get(key), ".4f") for key in others),
        _text(record["fit_s"], ".1f"),
        f"{record['state']} at {record['given_up_at']}" if record["why"] is not None else "",
    ]


def _records(ranking: Sequence[Row]) -> list[dict[str, Any]]:
    return [_record(place, row) for place, row in enumerate(ranking, start=1)]


def _record(place: int, row: Row) -> dict[str, Any]:
    score = row.score
    record: dict[str, Any] = {
        "place": place,
        "trial": row.trial.id,
        "model": row.trial.kind,
        "state": row.state,
        "why": row.stop.reason if row.stop else None,
        "given_up_at": row.stop.checkpoint.sweep if row.stop else None,
        "seeds": len(row.candidate),
        "sweep": score.checkpoint.sweep if score else None,
        "fit_s": score.fit_s if score else None,
        "score_s": score.score_s if score else None,
        "peak_bytes": score.peak_bytes if score else None,
        "warnings": "; ".join(f"{key}: {reason}" for key, reason in score.warnings.items()) or None if score else None,
        "ties": row.ties if row.behind else None,
        **dict(zip(("behind", "behind lower", "behind upper"), row.behind or [None] * 3, strict=True)),
        **asdict(row.trial.params),
    }
    if score:
        for key, (value, lower, upper) in score.metrics.items():
            record |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return record
