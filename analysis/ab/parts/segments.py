"""Segments: an arm's effect on listeners or sessions of one kind.

A segment is a set of sessions: of listeners, or opened by tracks, with one label; of listeners who
were there before the experiment; or of one time since a listener's first session in it, where an
effect that fades was novelty. Segments explain and decide nothing, so their intervals are for one
look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import RelativeEffect, relative_effect
from analysis.ab.measures import LABELS, NOVELTY, PAST, read_rows
from analysis.statistics.effects import compare_moments

_MOST = 8  # segments of a kind; smaller ones are left out
_NAMES = {
    NOVELTY: "time since the first session",
    PAST: "listeners new or known before",
}


@dataclass(frozen=True)
class SegmentEffect:
    """The effect of an arm on a primary metric in one segment."""

    by: str  # what the segments are by, for people
    segment: str  # its label
    arm: str
    metric: str
    label: str  # the metric's name for people
    control_listeners: int  # control listeners with a session in it
    arm_listeners: int  # the arm's
    control_value: float  # the metric of the control's sessions in it
    arm_value: float  # of the arm's
    # the effect in % of the control's value, with the interval for one look
    relative: RelativeEffect

    @property
    def title(self) -> str:
        """What is compared, for people."""
        return f"{self.label} of {self.arm} by {self.by}"


def segment_effects(
    connection: queries.Connection,
    arms: Sequence[str],
    config: AbConfig,
) -> tuple[SegmentEffect, ...]:
    """Compare the arms on primary metrics wherever there is more than one segment."""
    found: list[SegmentEffect] = []
    names = _NAMES | {f"{LABELS}{column}": column for column in config.segments}
    for by, metric in product(names, config.deciding):
        tables = {
            arm: read_rows(connection, metric.source, by, arm, arm) for arm in arms
        }
        labels = _largest(tables.values(), by)
        for label in labels if len(labels) > 1 else ():
            parts = {
                arm: rows.filter(pc.field("part") == label)
                for arm, rows in tables.items()
            }
            moments = {
                arm: metric.moments(
                    {name: rows[name].to_numpy() for name in metric.sums}
                )
                for arm, rows in parts.items()
            }
            control = moments.pop(config.control)
            for arm, treated in moments.items():
                effect = compare_moments(
                    control, treated, metric.quantity, 1 - config.alpha
                )
                of_arm = SegmentEffect(
                    by=names[by],
                    segment=label,
                    arm=arm,
                    metric=metric.name,
                    label=metric.label,
                    control_listeners=len(parts[config.control]),
                    arm_listeners=len(parts[arm]),
                    control_value=effect.control.value,
                    arm_value=effect.arm.value,
                    relative=relative_effect(effect),
                )
                found.append(of_arm)
    return tuple(found)


def _largest(tables: Iterable[pa.Table], by: str) -> list[str]:
    """Return the labels of the largest segments, by size or by day."""
    parts = pa.concat_tables(rows.select(["part"]) for rows in tables)["part"]
    sizes = parts.value_counts().to_pylist()
    sizes.sort(key=lambda size: (-size["counts"], size["values"]))
    labels = [size["values"] for size in sizes[:_MOST]]
    if by == NOVELTY:  # "day 1", "day 2", "from day 3" and so on, "from day 17"
        labels.sort(key=lambda label: (len(label), label))
    return labels
