"""Situations that an experimenter meets, each with the verdict and its sentence."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

import listening_loop as ll
from analysis.ab import words
from analysis.page import numbers
from listening_loop.api.experiments import AbReport

METRICS = ("minutes", "visits")
LAST_OF_T1 = "arm == 'T1' and time == '2026-01-14'"
Change = Callable[[pd.DataFrame], pd.DataFrame]


def table(
    days: int = 14,
    daily: int = 500,
    metric: str = "minutes",
    **means: Any,  # noqa: ANN401  numbers
) -> Any:  # noqa: ANN401  a data frame
    """Aggregates of arms by day: means of values with a standard deviation of 10."""
    rows = [
        {
            "arm": arm,
            "metric": metric,
            "time": f"2026-01-{day:02}",
            "count": day * daily,
            "mean": mean,
            "variance": 100.0,
        }
        for day in range(1, days + 1)
        for arm, mean in means.items()
    ]
    return pd.DataFrame(rows)


def spoil(rows: pd.DataFrame, where: str, **values: float) -> pd.DataFrame:
    """Set columns of the rows that a condition holds for."""
    rows = rows.astype(dict.fromkeys(values, float)).reset_index(drop=True)
    rows.loc[rows.query(where).index, list(values)] = list(values.values())
    return rows


def freeze(rows: pd.DataFrame, arm: str, day: int) -> pd.DataFrame:
    """Repeat an arm's row of the day before."""
    before, now = (f"2026-01-{number:02}" for number in (day - 1, day))
    is_before = (rows["arm"] == arm) & (rows["time"] == before)
    (row,) = rows[is_before].to_dict("records")
    names = ("count", "mean", "variance")
    return spoil(
        rows, f"arm == '{arm}' and time == '{now}'", **{n: row[n] for n in names}
    )


def listeners(size: int = 4000, **columns: Any) -> Any:  # noqa: ANN401  a data frame
    """A row a listener, in two arms by turns: minutes without an effect, and what is added."""
    minutes = np.random.default_rng(1).gamma(9, 3.3, size)
    arms = np.where(np.arange(size) % 2, "T1", "C")
    return pd.DataFrame({"arm": arms, "minutes": minutes} | columns)


def judge(rows: pd.DataFrame, **options: Any) -> AbReport:  # noqa: ANN401  of `ll.ab`
    return ll.ab(rows, **{"metrics": ["minutes"], **options})


WITH_VISITS = {"guardrails": {"visits": -10}}


def visits(**means: Any) -> Any:  # noqa: ANN401  numbers, a data frame
    """A gain of minutes, beside visits."""
    return pd.concat([table(C=30, T1=33), table(metric="visits", **means)])


@pytest.mark.parametrize(
    ("rows", "options", "decision", "sentence"),
    [
        (table(C=30, T1=33), {}, "ship", "'Minutes' is 10.0 % higher than with C"),
        (
            table(C=30, T1=27),
            {},
            "do not ship",
            "T1 is worse than C: 'Minutes' -10.0 %",
        ),
        (
            table(days=3, daily=3000, C=30, T1=33),
            {},
            "wait",
            "It has run for 3 days, and 7 are asked for.",
        ),
        (table(days=3, C=30, T1=33), {"min_days": 3}, "ship", "10.0 % higher"),
        # a call of one day
        (
            spoil(table(C=30, T1=30.3), LAST_OF_T1, mean=30.58),
            {},
            "wait",
            "Wait for T1: +1.9 %. The gain is certain for the first day, and counts when",
        ),
        (
            spoil(table(C=30, T1=29.7), LAST_OF_T1, mean=29.42),
            {},
            "wait",
            "The loss is certain for the first day",
        ),
        (
            spoil(table(C=30, T1=30.3), LAST_OF_T1, mean=30.58),
            {"confirm": False},
            "ship",
            "1.9 % higher",
        ),
        # a jump, the day after it, and a steady effect of any size
        (
            spoil(table(C=30, T1=30), LAST_OF_T1, mean=33),
            {"confirm": False},
            "do not trust",
            "The effect of T1 on 'Minutes' is further from that of the row before than new "
            "listeners explain; check both rows",
        ),
        (
            spoil(table(C=30, T1=30), "arm == 'T1' and time >= '2026-01-13'", mean=33),
            {},
            "wait",
            "counts when it still is",
        ),
        (table(daily=9000, C=30, T1=60), {}, "ship", "100 % higher"),
        (table(daily=10, C=30, T1=33), {}, "wait", "C has 140 listeners, and 200 are"),
        # negative means
        (
            table(C=-10, T1=-13),
            {},
            "do not ship",
            "T1 is worse than C: 'Minutes' -30 %",
        ),
        (
            table(C=-10, T1=-8, T2=-9),
            {},
            "ship",
            "T2 is better than C, and differs from T1: -20 to -6 %.",
        ),
        (visits(C=-10, T1=-13), WITH_VISITS, "do not ship", "and is -30 %"),
        # nothing varies
        (
            spoil(table(C=0, T1=3), "arm == 'C'", variance=0),
            {},
            "do not trust",
            "'Minutes' has the same value for all listeners of C, or none: nothing can",
        ),
        (
            spoil(table(C=30, T1=33), "count > 0", variance=0),
            {},
            "do not trust",
            "'Minutes' has the same value for all listeners of C, or none: nothing can",
        ),
        # an arm's row stands still
        (
            freeze(table(C=30, T1=33), "T1", 14),
            {},
            "do not trust",
            "The row of T1 for 'Minutes' stands still while another arm's moves; "
            "wait for the next row.",
        ),
        (freeze(table(C=30, T1=33), "T1", 13), {}, "wait", "counts when it still is"),
        (freeze(table(C=30, T1=33), "T1", 12), {}, "ship", "10.0 % higher"),
        (
            freeze(table(days=14, daily=18, C=30, T1=30), "T1", 14),
            {},
            "wait",
            "which may be chance",
        ),
        # what one planned analysis of it would have said
        (
            table(C=30, T1=30.1),
            {},
            "wait",
            "A single analysis, planned for this size, would have said +0.3 % (",
        ),
        # a fixed horizon
        (
            table(C=30, T1=30.1),
            {"fixed_horizon": {"listeners": 14_000}},
            "do not ship",
            "the fixed horizon is reached, which rules out a gain above 1.",
        ),
        (
            table(days=6, daily=3000, C=30, T1=33),
            {"fixed_horizon": {"listeners": 10_000}},
            "wait",
            "It has run for 6 days, and 7 are asked for.",
        ),
        # a guardrail that cannot have moved, one that holds, one that is broken
        (
            spoil(visits(C=1, T1=1), "metric == 'visits'", variance=0.0),
            WITH_VISITS,
            "wait",
            "'Visits' is not yet certain to stay above -10 %",
        ),
        (visits(C=30, T1=30), WITH_VISITS, "ship", "All guardrails are kept."),
        (visits(C=30, T1=21), WITH_VISITS, "do not ship", "T1 breaks a guardrail"),
        (
            visits(C=30, T1=28.8),
            WITH_VISITS,
            "ship",
            "All guardrails are kept. Within its margin, 'Visits' is surely worse: -4.0 % (-5.",
        ),
        # an effect that is not worth it, and one that is
        (
            table(daily=9000, C=30, T1=30.3),
            {"smallest_effect_pct": 2},
            "do not ship",
            "T1 is too small to matter: 'Minutes' +1.00 % (+0.57 to +1.43 %), and 2 % is",
        ),
        (
            table(daily=9000, C=30, T1=30),
            {"smallest_effect_pct": 1},
            "do not ship",
            "T1 is too small to matter: 'Minutes' 0.00 % (-0.42 to +0.42 %), and",
        ),
        (table(C=30, T1=33), {"smallest_effect_pct": 2}, "ship", "10.0 % higher"),
        # two arms that are better
        (
            table(C=30, T1=33, T2=33.3),
            {},
            "ship",
            "T1 is better than C, and could not be distinguished from T2: -2.5 to +0.7 %.",
        ),
        # a lower limit of .96 %
        (table(C=30, T1=30.82), {}, "ship", "plan with 0.9 %."),
        # an effect that turns on each seventh day
        (
            table(days=21, C=30, T1=30).assign(
                mean=lambda rows: (
                    rows["mean"]
                    + (rows["arm"] == "T1") * (-1.0) ** (rows["count"] // 3500)
                )
            ),
            {"confirm": False},
            "do not trust",
            "further from that of the row before than new listeners explain",
        ),
        # dates that are numbers
        (
            table(days=3, daily=3000, C=30, T1=33).assign(
                time=lambda rows: rows["time"].str.replace("-", "").astype(int)
            ),
            {},
            "wait",
            "It has run for 3 days, and 7 are asked for.",
        ),
        # a listener with as many plays as all others, of the arm and of the control
        (
            spoil(listeners(), "index == 1", minutes=1.2e5),
            {},
            "wait",
            "'Minutes' of T1 changes by +208 %",
        ),
        (
            spoil(listeners(), "index == 0", minutes=1.2e5),
            {},
            "wait",
            "'Minutes' of T1 is 29.7 instead of 89.",
        ),
        # a ratio to nothing
        (
            listeners(plays=0.0),
            {"metrics": ["minutes / plays"]},
            "do not trust",
            "'Minutes / plays' has the same value for all listeners of C, or none: nothing",
        ),
        # a control of a thousandth
        (
            listeners(200_000, arm=np.where(np.arange(200_000) % 1000, "T1", "C")),
            {"shares": {"C": 1, "T1": 999}},
            "wait",
            "which may be chance",
        ),
        # less of what is in percent
        (
            listeners(skipped=25 - 5.0 * (np.arange(4000) % 2) + np.arange(4000) % 9),
            {"metrics": {"skipped": "lower"}, "guardrails": {"minutes": -10}},
            "ship",
            "'Skipped' is 17.2 % lower than with C",
        ),
        # an arm that is paused, and a holdout beside the arms
        (
            spoil(
                table(C=30, T1=33), "arm == 'T1' and time > '2026-01-11'", count=5500
            ),
            {},
            "do not trust",
            "The arms do not have their shares of the listeners (p < 0.0001)",
        ),
        (
            table(C=30, T1=33, H=30).assign(
                count=lambda rows: rows["count"] // (1 + 9 * (rows["arm"] == "H"))
            ),
            {"shares": {"C": 10, "T1": 10, "H": 1}},
            "ship",
            "H differs from T1: -",
        ),
        # shares
        (
            spoil(table(C=30, T1=33), "arm == 'T1'", count=6000.0).tail(2),
            {},
            "do not trust",
            "The arms do not have their shares of the listeners (p < 0.0001)",
        ),
    ],
)
def test_each_situation_has_its_verdict_and_sentence(
    rows: pd.DataFrame, options: dict[str, Any], decision: str, sentence: str
) -> None:
    report = judge(rows, **options)
    text = str(report).replace("\N{NARROW NO-BREAK SPACE}", " ")
    text = text.replace(numbers.MINUS, "-")
    assert report.verdict.decision == decision, text
    assert sentence in text


def test_a_table_beyond_its_fixed_horizon_is_cut_there_and_says_so() -> None:
    planned = {"fixed_horizon": {"listeners": 8000}}
    rows = table(C=30, T1=30)
    later = spoil(rows, "time > '2026-01-08'", mean=40.0)
    cut, whole = judge(later, **planned), judge(rows.query("time < '2026-01-09'"))
    assert cut.report.evidence.listeners == whole.report.evidence.listeners
    assert cut.verdict.decision == "do not ship"
    warnings = words.warnings(cut.report)
    assert warnings == [
        "Events or rows after the fixed horizon, or on days far from others, which are left "
        "out: 6."
    ]


def test_a_table_without_times_is_refused_far_beyond_its_fixed_horizon() -> None:
    generator = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"arm": ["C", "T1"] * 1000, "minutes": generator.normal(30, 10, 2000)}
    )
    report = partial(judge, rows)
    assert report(fixed_horizon={"listeners": 1900}).report.evidence.is_final
    with pytest.raises(
        ll.Error, match=r"2,000 listeners, and 1,000 are planned; leave"
    ):
        report(fixed_horizon={"listeners": 1000})
