"""Count faults in the events of each arm and day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SURELY_SOME = 20  # expected listeners of whom none comes with a chance of e^-20


@dataclass(frozen=True)
class Quality:
    """Counts of faults in the events: `sql/ab/quality.sql`."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # listeners in several arms, who count in each
    changing_listeners: int = 0
    dropped_events: int = 0  # events of sessions without a `last` at their end
    # events within a session whose track is not the recommendation just before
    broken_chains: int = 0
    # events whose latency is below 0; they count, and only `mean_request_latency` uses it
    negative_latencies: int = 0


def count_faults(
    rows: Sequence[Mapping[str, Any]], in_arms: Sequence[Mapping[str, Any]]
) -> Quality:
    """Sum up the rows of `sql/ab/quality.sql` that are in arms, and the events of the others."""
    outside = sum(row["events"] for row in rows if row["arm"] is None)
    names = vars(Quality()).keys() - {"outside"}
    counts = {name: sum(row[name] for row in in_arms) for name in names}
    return Quality(**counts, outside=outside)


def find_absent(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str, str] | None:
    """Find an arm without listeners on days on which some are expected.

    Args:
        rows: Rows of `sql/ab/quality.sql` in arms.

    Returns:
        The arm, and its first and last such day.
    """
    arms, arm_numbers = np.unique([row["arm"] for row in rows], return_inverse=True)
    days, day_numbers = np.unique([row["day"] for row in rows], return_inverse=True)
    active = np.zeros((len(arms), len(days)))
    np.add.at(active, (arm_numbers, day_numbers), [row["listeners"] for row in rows])
    expected = np.outer(active.sum(axis=1), active.sum(axis=0)) / active.sum()
    is_absent = (active == 0) & (expected >= SURELY_SOME)
    for arm, dates in zip(arms, is_absent, strict=True):
        if dates.any():
            absent = days[dates].astype("datetime64[D]").astype(str)
            return str(arm), str(absent[0]), str(absent[-1])
    return None
