"""Whether an experiment can be believed: the sample ratio, impossible behaviour, and what the events themselves say."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.report import Exposure, Quality, RejectedLine, Srm, Suspicion, Trust
from analysis.ab.timeline import iso_date
from analysis.errors import AnalysisError
from analysis.statistics.sample_ratio import THRESHOLD, check_sample_ratio

_KINDS = {
    "tracks": "more tracks on a day than can be heard",
    "same_ms": "events within one millisecond",
    "clock": "more listening than time between the events",
    "overlap": "two sessions at the same time",
}
_EXAMPLES = 3


def sample_ratio(listeners: Mapping[str, int], shares: Mapping[str, float]) -> Srm:
    """The sample ratio test.

    Args:
        listeners: Listeners by arm, the control first.
        shares: Configured shares; an arm that is configured and has no listener counts with none.

    Raises:
        AnalysisError: The log names an arm that has no share.
    """
    strange = [arm for arm in listeners if shares and arm not in shares]
    if strange:
        raise AnalysisError(
            f"arm {strange[0]} is in the log and has no share; shares are given for {', '.join(shares)}"
        )
    observed = dict(listeners) | {arm: 0 for arm in shares if arm not in listeners}
    result = check_sample_ratio(observed, dict(shares) or None)
    is_tested = len(observed) > 1 and sum(observed.values()) > 0
    return Srm(
        expected=result.expected,
        observed=observed,
        chi_square=result.statistic if is_tested else None,
        p_value=result.p_value if is_tested else None,
        threshold=THRESHOLD,
        mismatch=is_tested and result.mismatch,
    )


def assess(
    connection: queries.Connection, config: AbConfig, arms: Sequence[str], rejected: Sequence[RejectedLine]
) -> tuple[Trust, Mapping[str, Any]]:
    """Everything but the sample ratio, and the raw row of quality, which has the first and last event.

    Args:
        connection: Has the tables of `analysis.ab.tables.tabulate`.
        config: What counts as impossible.
        arms: All arms, the control first.
        rejected: The first lines that were no event.
    """
    row = queries.fetch_row(connection, "ab/quality")
    changing = queries.fetch_row(connection, "ab/changing_listeners")["listeners"]
    quality = Quality(**{name: row[name] for name in Quality.__dataclass_fields__})
    trust = Trust(
        changing_listeners=changing,
        suspicions=_suspicions(connection, config, arms),
        quality=quality,
        rejected=tuple(rejected),
        exposure=_exposure(connection, arms),
    )
    return trust, row


def _suspicions(connection: queries.Connection, config: AbConfig, arms: Sequence[str]) -> tuple[Suspicion, ...]:
    queries.drop(connection, "suspects")
    queries.materialize(
        connection,
        "suspects",
        "ab/suspects",
        most_tracks=config.trust.most_tracks_a_day,
        same_ms_share=config.trust.same_ms_share,
        shortest_track_ms=1000 * config.trust.shortest_track_s,
    )
    rows = queries.fetch_table(connection, "ab/suspicions").to_pylist()
    return tuple(
        Suspicion(
            kind=label,
            listeners={
                arm: sum(row["listeners"] for row in rows if (row["kind"], row["arm"]) == (kind, arm)) for arm in arms
            },
            examples=tuple(sorted(user for row in rows if row["kind"] == kind for user in row["examples"])[:_EXAMPLES]),
        )
        for kind, label in _KINDS.items()
        if any(row["kind"] == kind for row in rows)
    )


def _exposure(connection: queries.Connection, arms: Sequence[str]) -> tuple[Exposure, ...]:
    rows = {(row["day"], row["arm"]): row for row in queries.fetch_table(connection, "ab/exposure").to_pylist()}
    return tuple(
        Exposure(
            date=iso_date(day),
            active={arm: rows[day, arm]["active"] if (day, arm) in rows else 0 for arm in arms},
            new={arm: rows[day, arm]["new"] if (day, arm) in rows else 0 for arm in arms},
        )
        for day in sorted({day for day, _ in rows})
    )
