"""Score lists on held-out targets, and lay the figures out with their intervals.

The metrics are written out once more here, apart from those by which a search chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import NO_TRACK, FloatArray, Int32Array

RESAMPLES, SEED = 1000, 42
OURS = "(ours)"  # ends the names of our systems


@dataclass(frozen=True)
class Table:
    """Rows of texts under a header, and what is to be said of them."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def ndcg(lists: Int32Array, targets: csr_matrix) -> FloatArray:
    """Return NDCG@k over min(k, targets) of each listener, NaN of one without targets.

    Args:
        lists: Columns, best first, `NO_TRACK` at the end of short lists; shape (listeners, k).
        targets: 1 for each target, shape (listeners, tracks).
    """
    gains = 1 / np.log2(np.arange(lists.shape[1]) + 2)
    ideals = np.concatenate([[0], gains.cumsum()])
    counts = np.diff(targets.indptr)
    best = ideals[np.minimum(counts, len(gains))]
    shares = np.full(len(counts), np.nan)
    np.divide(hits(lists, targets) @ gains, best, out=shares, where=counts > 0)
    return shares


def precision(lists: Int32Array, targets: csr_matrix) -> FloatArray:
    """Return the share of each list that are targets, shape (listeners,)."""
    shares: FloatArray = hits(lists, targets).mean(axis=1)
    return shares


def hits(lists: Int32Array, targets: csr_matrix) -> FloatArray:
    """Return 1 where a listed track is a target and else 0, shape (listeners, k)."""
    listener = np.arange(len(lists))[:, np.newaxis]
    is_target = csr_matrix(targets[listener, np.maximum(lists, 0)]).toarray()
    return np.where(lists == NO_TRACK, 0.0, is_target)


def mean_interval(values: FloatArray) -> Interval:
    """Return the mean over listeners with its 95 % bootstrap interval; NaN does not count."""
    column = values[:, np.newaxis]
    counts = (~np.isnan(column)).astype(np.float64)
    resamples = bootstrap.Resamples(len(values), RESAMPLES, SEED)
    return bootstrap.ratio_intervals(resamples, np.nan_to_num(column), counts)[0]


def differences(
    values: Mapping[str, FloatArray], ours: str, rules: Sequence[str], column: str
) -> list[str]:
    """Describe by how much ours is better than the best rule and the best peer.

    Listener by listener; where the interval contains 0, they are tied.

    Args:
        values: By system; what follows a colon is no part of its name.
        ours: The system that is compared.
        rules: The simple ones.
        column: What the values are.
    """
    by_name = {system.partition(":")[0]: row for system, row in values.items()}
    theirs = [name for name in by_name.keys() - {ours, *rules} if OURS not in name]
    notes = []
    for names in filter(None, (rules, theirs)):
        best = max(names, key=lambda name: float(np.nanmean(by_name[name])))
        better = mean_interval(by_name[ours] - by_name[best])
        tied = "" if better.excludes_zero else ", tied"
        notes.append(f"{column}: {ours} less {best} {text(better)}{tied}")
    return notes


def text(interval: Interval, digits: int = 4) -> str:
    """Return a figure with its interval, such as `.2818 (.2700 … .2930)`."""
    value, lower, upper = (_short(number, digits) for number in interval)
    return f"{value} ({lower} … {upper})"


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [f"### {table.title}", "", _row(table.header)]
    lines.append(_row(["---", *["---:"] * (len(table.header) - 1)]))
    lines += [_row(row) for row in table.rows]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([*lines, "", *notes, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(number: float, digits: int) -> str:
    written = f"{number:.{digits}f}"
    return written.replace("0.", ".", 1) if abs(number) < 1 else written
