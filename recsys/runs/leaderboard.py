"""Make the leaderboard, as rows and as a table, and remarks on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from rich.table import Table

from analysis.page import numbers
from looplib.tables import table
from recsys.config import Search
from recsys.models.kinds import KINDS, shown_params
from recsys.runs.ledger import Score
from recsys.runs.ranking import RankedTrial, scored_candidates
from recsys.runs.trials import Trial, plan_wider
from recsys.scoring import SEGMENTS

Row = Mapping[str, Any]  # of the leaderboard
WARNING = "Warning:"
_SHORT = {"regularization": "reg", "unobserved_weight": "unobserved"}
_PRINTED = 20  # ranks


def leaderboard_rows(ranking: Sequence[RankedTrial]) -> list[dict[str, Any]]:
    """Return a row for each candidate and baseline, best first, all with the same keys."""
    records = [_record(rank, row) for rank, row in enumerate(ranking, start=1)]
    empty = dict.fromkeys(key for record in records for key in record)
    return [empty | record for record in records]


def leaderboard_table(rows: Sequence[Row], select: str) -> Table:
    """Return the rows of the leaderboard as they are printed: by the choosing metric."""
    labels, same = label_rows(rows)
    segments = [f"{segment}_{select}" for segment in SEGMENTS]
    names = ("", "model", select, "interval", "vs best", *SEGMENTS)
    names += ("sweeps", "fit s", "stopped")
    cells = [
        [
            str(row["rank"]),
            labels[row["trial"]],
            numbers.number(row.get(select)),
            numbers.limits(row.get(f"{select} lower"), row.get(f"{select} upper")),
            "tied" if row["ties"] else "better" if is_better(row) else "",
            *(numbers.number(row.get(segment)) for segment in segments),
            str(row["sweep"] or ""),
            numbers.number(row["fit_s"]),
            f"{row['state']} at {row['stopped_at']}" if row["why"] else "",
        ]
        for row in rows[:_PRINTED]
    ]
    caption = f"By {select}, with its 95 % interval over listeners."
    if len(rows) > _PRINTED:
        caption += f" The report has all {len(rows)}."
    if same:
        caption += f" The same in all: {same}."
    return table(names, cells, needed=4, numbers_from=2, caption=caption)


def is_better(row: Row) -> bool:
    """Return whether a baseline is better than the best candidate by more than the interval."""
    return bool(row["behind lower"] and row["behind lower"] > 0)


def describe(trial: Trial) -> str:
    """Describe a fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    return _join(trial.kind, _values(trial.kind, asdict(trial.params)))


def describe_row(row: Row) -> str:
    """Describe the model of a row of the leaderboard."""
    return _join(row["model"], _values(row["model"], row))


def label_rows(rows: Iterable[Row]) -> tuple[dict[str, str], str]:
    """Label trials by the hyperparameters that differ between those of a kind.

    Returns:
        A label for each trial, and a text of what is the same in all, by kind.
    """
    by_kind: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        by_kind.setdefault(row["model"], {})[row["trial"]] = _values(row["model"], row)
    labels = {}
    constant = []
    for kind, trials in by_kind.items():
        first, *others = trials.values()
        same = [text for text in first if others and all(text in own for own in others)]
        for trial, own in trials.items():
            labels[trial] = _join(kind, [text for text in own if text not in same])
        if same:
            constant.append(_join(kind, same))
    return labels, "; ".join(constant)


def _values(kind: str, params: Mapping[str, Any]) -> list[str]:
    """Return texts such as "reg 0.1" of a model's hyperparameters that are to be shown."""
    names = [field.name for field in fields(KINDS[kind].params_type)]
    shown = shown_params(kind, {name: params[name] for name in names})
    return [
        f"{_SHORT.get(name, name)} {value:g}"
        if isinstance(value, float)
        else f"{name} {value}"
        for name, value in shown.items()
    ]


def _join(kind: str, values: Iterable[str]) -> str:
    return f"{kind} {', '.join(values)}".strip()


def remarks(
    ranking: Sequence[RankedTrial],
    chosen: RankedTrial,
    metric: str,
    search: Search,
) -> list[str]:
    """Say whether the order is noise, why the winner won, and what to try next."""
    found = []
    _, *others = scored_candidates(ranking)
    ties = sum(ranked.ties for ranked in others)
    if ties:
        found.append(
            f"Tied with the best: {ties} of the {len(others)} candidates behind it; the interval "
            f"of the difference in {metric}, at 95 % for all pairs at once, reaches 0"
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
    baselines: Sequence[RankedTrial],
    metric: str,
    *,
    on_test: bool,
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


def _record(rank: int, ranked: RankedTrial) -> dict[str, Any]:
    score = ranked.score or Score(0)
    stop = ranked.stop
    record: dict[str, Any] = {
        "rank": rank,
        "trial": ranked.trial.id,
        "model": ranked.trial.kind,
        "state": ranked.state,
        "why": stop.reason if stop else None,
        "stopped_at": stop.sweep if stop else None,
        "sweep": score.sweep,
        "fit_s": score.fit_s,
        "warnings": "; ".join(f"{key}: {why}" for key, why in score.warnings.items()),
        "ties": ranked.ties if ranked.behind else None,
        **asdict(ranked.trial.params),
    }
    behind = ranked.behind or (None, None, None)
    for key, (value, lower, upper) in {"behind": behind, **score.metrics}.items():
        record |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return record
