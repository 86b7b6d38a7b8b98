"""Heat maps of the searched space: the best score at each pair of values of two hyperparameters."""

import itertools
from collections.abc import Sequence
from typing import Any

from analysis.page import numbers
from analysis.page.figures import Cell, HeatMap
from recsys.report.runs import Row, Run

_SHOWN = 6  # pairs of axes


def draw_heat_maps(run: Run) -> list[HeatMap]:
    """A map for each two hyperparameters with several values; none where fewer than two have."""
    axes = [name for name in run.axes if len({row[name] for row in run.candidates}) > 1]
    return [_draw(run, *pair) for pair in list(itertools.combinations(axes, 2))[:_SHOWN]]


def _draw(run: Run, down: str, right: str) -> HeatMap:
    rows, columns = (sorted({row[name] for row in run.candidates}) for name in (down, right))
    found = {(a, b): _best(run, {down: a, right: b}) for a in rows for b in columns}
    values = [row[run.select] for row in found.values() if row is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)

    def cell(place: tuple[Any, Any]) -> Cell:
        row = found[place]
        if row is None:
            tried = any((each[down], each[right]) == place for each in run.candidates)
            return Cell("failed" if tried else numbers.NOTHING, None, is_best=False)
        value = row[run.select]
        strength = (value - low) / (high - low) if high > low else 1.0
        return Cell(numbers.number(value), strength, is_best=value == high)

    others = [name for name in run.axes if name not in (down, right) and len({row[name] for row in run.candidates}) > 1]
    over = f" Each is the best over {', '.join(others)}." if others else ""
    return HeatMap(
        title=f"{down} and {right}",
        note=f"{run.select} at the best scored sweep; the stronger the colour, the better; the best is outlined.{over}",
        down=down,
        right=right,
        columns=tuple(_text(value) for value in columns),
        rows=tuple((_text(a), tuple(cell((a, b)) for b in columns)) for a in rows),
    )


def _best(run: Run, values: dict[str, Any]) -> Row | None:
    """The best scored candidate with such values."""
    matching: Sequence[Row] = [
        row
        for row in run.candidates
        if row.get(run.select) is not None and all(row[name] == value for name, value in values.items())
    ]
    return max(matching, key=lambda row: row[run.select], default=None)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
