"""Rank all that a search tried, compare it with the best, and describe it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
from rich.table import Table

from analysis.page import numbers
from analysis.statistics.effects import Interval
from looplib.tables import table
from recsys.models.external import External, select_params
from recsys.models.factors import Pool
from recsys.models.trial import Checkpoint, Trial
from recsys.search.evaluation import SEGMENTS
from recsys.search.ledger import Score, Scores, best_score, failure_of
from recsys.search.trials import plan_beyond

Row = Mapping[str, Any]  # a row of the leaderboard's file
BEHIND = "behind the best by more than its interval and what it may still gain"
_SHORT = {"regularization": "reg", "unobserved_weight": "unobserved"}
_PRINTED = 20  # ranks


@dataclass(frozen=True)
class Entry:
    """A trial or a baseline at its best scored iteration."""

    score: Score  # the best by the choosing metric; without metrics if none is scored
    state: Literal["scored", "pruned", "failed"] = "scored"
    stopped_at: int | None = (
        None  # the iteration at which it was stopped early or failed
    )
    why: str | None = None
    # difference of the choosing metric from the best candidate's, with the simultaneous interval
    behind: Interval | None = None

    @property
    def trial(self) -> Trial:
        """The trial that is scored."""
        return self.score.trial

    @property
    def ties(self) -> bool:
        """Whether it is tied with the best candidate: neither worse nor a better baseline."""
        return self.behind is not None and not self.behind.excludes_zero

    def value(self, metric: str) -> float:
        """Return its value of a metric; -inf without a score."""
        return self.score.metrics[metric].value if self.score.metrics else -math.inf


@dataclass(frozen=True)
class Leaderboard:
    """All trials and baselines, best first."""

    select: str  # the metric that chooses
    entries: tuple[Entry, ...]

    @property
    def candidates(self) -> list[Entry]:
        """The entries that can win: they have a score and are no baselines."""
        return [
            entry
            for entry in self.entries
            if entry.score.metrics and not entry.trial.is_baseline
        ]

    @property
    def baselines(self) -> list[Entry]:
        """The rules without training."""
        return [entry for entry in self.entries if entry.trial.is_baseline]

    def compare(
        self, compare: Callable[[tuple[Checkpoint, ...], int], Sequence[Interval]]
    ) -> "Leaderboard":
        """Estimate the difference of each scored entry from the best candidate.

        `compare` takes checkpoints and the position of the best candidate among them.
        """
        steps = [
            entry.score.checkpoint for entry in self.entries if entry.score.metrics
        ]
        best = self.candidates[0].score.checkpoint
        behind = iter(compare(tuple(steps), steps.index(best)))
        entries = [
            replace(entry, behind=next(behind)) if entry.score.metrics else entry
            for entry in self.entries
        ]
        return Leaderboard(self.select, tuple(entries))

    def rows(self, pool: Pool = "all") -> list[dict[str, Any]]:
        """Return a row for each entry, all with the same keys; `pool` is of the scored lists."""
        records = []
        for rank, entry in enumerate(self.entries, start=1):
            score = entry.score
            record: dict[str, Any] = {
                "rank": rank,
                "trial": entry.trial.id,
                "model": entry.trial.kind,
                "state": entry.state,
                "why": entry.why,
                "stopped_at": entry.stopped_at,
                "iteration": score.iteration,
                "fit_s": score.fit_s,
                "ties": entry.ties if entry.behind else None,
                "settings": _settings(entry.trial),
                "pool": pool,
            }
            params = entry.trial.params
            if issubclass(entry.trial.model_type, External):
                # names of a class may clash with columns, and its values are of any kind
                params = {"params": orjson.dumps(select_params(params)).decode()}
            record |= params
            behind = entry.behind or (None, None, None)
            for key, ends in {"behind": behind, **score.metrics}.items():
                names = (key, f"{key} lower", f"{key} upper")
                record |= zip(names, ends, strict=True)
            records.append(record)
        empty = dict.fromkeys(key for record in records for key in record)
        return [empty | record for record in records]


def rank(
    trials: Iterable[Trial], stopped: Mapping[str, int], scores: Scores, select: str
) -> Leaderboard:
    """Rank trials and baselines, best first; entries without a score last, equal entries by id.

    Args:
        trials: All trials and baselines.
        stopped: The iteration after which trials were stopped early, by id.
        scores: The scores of each trial, by id.
        select: The metric that chooses.
    """
    entries = []
    for trial in trials:
        best = best_score(scores[trial.id], select) or Score(trial, 0, "")
        entry = Entry(best)
        if failure := failure_of(scores[trial.id]):
            without = Score(trial, 0, "")
            entry = Entry(without, "failed", failure.iteration, failure.error)
        elif trial.id in stopped:
            entry = Entry(best, "pruned", stopped[trial.id], BEHIND)
        entries.append(entry)
    entries.sort(key=lambda entry: (-entry.value(select), entry.state, entry.trial.id))
    return Leaderboard(select, tuple(entries))


def print_rows(rows: Sequence[Row], select: str) -> Table:
    """Make the table of the leaderboard that is printed, by the choosing metric."""
    labels, same = label_rows(rows)
    segments = [f"{segment}_{select}" for segment in SEGMENTS]
    names = ("", "model", select, "interval", "vs best", *SEGMENTS)
    names += ("iterations", "fit s", "stopped")
    cells = [
        [
            str(row["rank"]),
            labels[row["trial"]],
            numbers.number(row.get(select)),
            numbers.limits(row.get(f"{select} lower"), row.get(f"{select} upper")),
            _compare(row),
            *(numbers.number(row.get(segment)) for segment in segments),
            str(row["iteration"] or ""),
            numbers.number(row["fit_s"]),
            f"{row['state']} at {row['stopped_at']}" if row["why"] else "",
        ]
        for row in rows[:_PRINTED]
    ]
    pool = describe_pool(rows[0]["pool"])
    caption = f"By {select} over {pool}, with its 95 % interval over listeners."
    if len(rows) > _PRINTED:
        caption += f" The report has all {len(rows)}."
    if same:
        caption += f" The same in all: {same}."
    return table(names, cells, needed=4, numbers_from=2, caption=caption)


def _compare(row: Row) -> str:
    """Compare a row with the best candidate, whose interval is a point."""
    if row["ties"]:
        return "tied" if row["behind upper"] > row["behind lower"] else "best"
    return "better" if is_better(row) else ""


def describe_pool(pool: Pool) -> str:
    """Describe the tracks that lists were chosen from."""
    return "new tracks alone (filter_seen)" if pool == "new" else f"{pool} tracks"


def is_better(row: Row) -> bool:
    """Check whether a baseline is better than the best candidate by more than the interval."""
    return bool(row["behind lower"] and row["behind lower"] > 0)


def describe(trial: Trial) -> str:
    """Describe a fit in a few words, such as "als factors 64, reg 0.1, alpha 10"."""
    return _join(trial.kind, _settings(trial))


def describe_row(row: Row) -> str:
    """Describe the model of a row of the leaderboard."""
    return _join(row["model"], row["settings"])


def label_rows(rows: Iterable[Row]) -> tuple[dict[str, str], str]:
    """Label trials by the hyperparameters that differ within a kind.

    Returns:
        A label for each trial, and a text of the equal hyperparameters of each kind.
    """
    by_kind: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        by_kind.setdefault(row["model"], {})[row["trial"]] = list(row["settings"])
    labels = {}
    constant = []
    for kind, trials in by_kind.items():
        first, *more = trials.values()
        same = [text for text in first if more and all(text in texts for texts in more)]
        for trial, texts in trials.items():
            labels[trial] = _join(kind, [text for text in texts if text not in same])
        if same:
            constant.append(_join(kind, same))
    return labels, "; ".join(constant)


def _settings(trial: Trial) -> list[str]:
    """Write out the main hyperparameters and the others that are no default, such as "reg 0.1"."""
    model = trial.model_type
    fields = model.config_type().model_fields
    if issubclass(model, External):
        shown = select_params(trial.params)
    else:
        shown = {
            name: trial.params[name]
            for name, field in fields.items()
            if name in model.main_params or trial.params[name] != field.default
        }
    texts = []
    for name, value in shown.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        texts.append(f"{_SHORT.get(name, name)} {text}")
    return texts


def _join(kind: str, values: Iterable[str]) -> str:
    return f"{kind} {', '.join(values)}".strip()


def name_axes(trial: Trial, axes: Iterable[str]) -> str:
    """Name the settings that are axes of a trial's kind, such as "models.als.factors"."""
    return ", ".join(f"models.{trial.kind}.{axis}" for axis in sorted(axes))


def explain_winner(leaderboard: Leaderboard, *, may_expand: bool) -> list[str]:
    """Write the warnings about a winner: ties, selection bias, edges of the space."""
    select = leaderboard.select
    texts = []
    best, *behind = leaderboard.candidates
    ties = sum(entry.ties for entry in behind)
    if ties:
        texts.append(
            f"Tied with the best: {ties} of the {len(behind)} candidates behind it; the interval "
            f"of the difference in {select}, at 95 % for all pairs at once, reaches 0"
        )
    score = best.score
    if select in score.test:
        texts.append(
            f"The winner's {select} of {best.value(select):.4f} is the highest of many, and so "
            "looks better than it is; on the test listeners it is "
            f"{score.test[select]:.4f}"
        )
    trials = [entry.trial for entry in leaderboard.entries]
    edges = plan_beyond(best.trial, trials, "")
    if edges and not may_expand:
        texts.append(
            "The winner is at the edge of what was tried: go beyond "
            f"{name_axes(best.trial, edges)}, or set search.expand: true"
        )
    return texts
