"""Situations that an experimenter meets, each with the verdict and its sentence.

A situation is a `case`: rows, the decision, a part of what is said, and options of `ll.ab`.
"""

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


def with_zeros(rows: pd.DataFrame, arm: str, days: int) -> pd.DataFrame:
    """Let the listeners who come to an arm after some days have 0."""
    day = rows["time"].str[-2:].astype(int)
    share = np.where(rows["arm"] == arm, np.minimum(1, days / day), 1)
    mean = rows["mean"] * share
    square = (rows["variance"] + rows["mean"] ** 2) * share
    return rows.assign(mean=mean, variance=square - mean**2)


def listeners(size: int = 4000, **columns: Any) -> Any:  # noqa: ANN401  a data frame
    """A row a listener, in two arms by turns: minutes without an effect, and what is added."""
    minutes = np.random.default_rng(1).gamma(9, 3.3, size)
    arms = np.where(np.arange(size) % 2, "T1", "C")
    return pd.DataFrame({"arm": arms, "minutes": minutes} | columns)


def judge(rows: pd.DataFrame, **options: Any) -> AbReport:  # noqa: ANN401  of `ll.ab`
    return ll.ab(rows, **{"metrics": ["minutes"], **options})


def visits(**means: Any) -> Any:  # noqa: ANN401  numbers, a data frame
    """A gain of minutes, beside visits."""
    return pd.concat([table(C=30, T1=33), table(metric="visits", **means)])


GAIN = table(C=30, T1=33)
ONE_DAY = spoil(table(C=30, T1=30.3), LAST_OF_T1, mean=30.58)
LOST_DAY = spoil(table(C=30, T1=29.7), LAST_OF_T1, mean=29.42)
LARGE = partial(table, daily=9000, C=30)
THREE_DAYS = table(days=3, daily=3000, C=30, T1=33)
TURNING = table(days=21, C=30, T1=30).assign(
    mean=lambda rows: (
        rows["mean"] + (rows["arm"] == "T1") * (-1.0) ** (rows["count"] // 3500)
    )
)
HOLDOUT = table(C=30, T1=33, H=30).assign(
    count=lambda rows: rows["count"] // (1 + 9 * (rows["arm"] == "H"))
)
MANY = listeners(200_000, arm=np.where(np.arange(200_000) % 1000, "T1", "C"))

LIMITED: Any = {"guardrails": {"visits": -10}}


def case(
    name: str,
    rows: pd.DataFrame,
    decision: str,
    sentence: str,
    **options: Any,  # noqa: ANN401  of `ll.ab`
) -> Any:  # noqa: ANN401  a parameter of pytest
    return pytest.param(rows, decision, sentence, options, id=name)


@pytest.mark.parametrize(
    ("rows", "decision", "sentence", "options"),
    [
        case(
            "a gain",
            GAIN,
            "ship",
            "T1 is better than C: 'Minutes' +10.0 % (+8.1 to +11.9 %), 33 instead of 30.",
        ),
        case(
            "few days", THREE_DAYS, "wait", "It is on day 3, and 7 days are asked for."
        ),
        case("days as asked", THREE_DAYS, "ship", "+10.0 %", min_days=3),
        case(
            "dates as numbers",
            THREE_DAYS.assign(time=THREE_DAYS["time"].str.replace("-", "").astype(int)),
            "wait",
            "It is on day 3",
        ),
        case(
            "few", table(daily=10, C=30, T1=33), "wait", "C has 140 listeners, and 200"
        ),
        case(
            "gain of a day",
            ONE_DAY,
            "wait",
            "Wait for T1. T1 is better than C: 'Minutes' +1.9 % (+0.1 to +3.8 %), 30.6 instead of "
            "30. This is certain for the first day, and counts if it still is a day later.",
        ),
        case(
            "loss of a day", LOST_DAY, "wait", "(-3.7 to -0.1 %). This is certain for"
        ),
        case("at once", ONE_DAY, "ship", "+1.9 %", confirm=False),
        case(
            "a jump",
            spoil(table(C=30, T1=30), LAST_OF_T1, mean=33),
            "do not trust",
            "The effect of T1 on 'Minutes' is further from that of the row before than new "
            "listeners explain: on 2026-01-14 it moves by +10.0 %, the control by 0.0 %; check",
            confirm=False,
        ),
        case(
            "the day after a jump",
            spoil(table(C=30, T1=30), "arm == 'T1' and time >= '2026-01-13'", mean=33),
            "wait",
            "counts if it still is",
        ),
        case(
            "a control that fell overnight and stays",
            spoil(table(C=30, T1=30), "arm == 'C' and time >= '2026-01-05'", mean=25.5),
            "do not trust",
            "'Minutes' of C changed by -15.0 % on 2026-01-05, by 0.0 % in other arms, which no",
        ),
        case(
            "new listeners of the control who are 0",
            with_zeros(table(C=30, T1=30), "C", 3),
            "do not trust",
            "'Minutes' of C changed by -25.0 % on 2026-01-04, by 0.0 % in other arms",
        ),
        case(
            "new listeners of an arm who are 0",
            with_zeros(table(C=30, T1=30), "T1", 3),
            "do not trust",
            "The effect of T1 on 'Minutes' is further from that of the row before than new",
        ),
        case(
            "a control that falls for a day",
            spoil(table(C=30, T1=33), "arm == 'C' and time == '2026-01-05'", mean=25.5),
            "ship",
            "+10.0 %",
        ),
        case(
            "a turning effect", TURNING, "do not trust", "further from", confirm=False
        ),
        case("twice the mean", LARGE(T1=60), "ship", "+100 %"),
        case("negative", table(C=-10, T1=-13), "do not ship", "'Minutes' -30 %"),
        case(
            "negative, three arms",
            table(C=-10, T1=-8, T2=-9),
            "ship",
            "T2 is better than C: 'Minutes' +10 % (+4 to +15 %), -9 instead of -10; against T1",
        ),
        case(
            "negative visits", visits(C=-10, T1=-13), "do not ship", "-30 %", **LIMITED
        ),
        case(
            "no variance",
            spoil(table(C=0, T1=3), "arm == 'C'", variance=0),
            "do not trust",
            "'Minutes' has the same value for all listeners of C, or none: nothing can",
        ),
        case(
            "a frozen row",
            freeze(GAIN, "T1", 14),
            "do not trust",
            "The row of T1 for 'Minutes' stands still while another arm's moves; "
            "wait for the next row.",
        ),
        case("frozen before", freeze(GAIN, "T1", 13), "wait", "counts if it still is"),
        case("frozen long ago", freeze(GAIN, "T1", 12), "ship", "+10.0 %"),
        case(
            "few newcomers",
            freeze(table(daily=18, C=30, T1=30), "T1", 14),
            "wait",
            "chance",
        ),
        case(
            "no effect",
            table(C=30, T1=30.1),
            "wait",
            "which may be chance. About 14,000 more listeners are needed, 14 days at the pace so "
            "far.",
        ),
        case(
            "no effect at the end",
            table(C=30, T1=30.1),
            "do not ship",
            "which may be chance. The fixed horizon is reached.",
            fixed_horizon={"listeners": 14_000},
        ),
        case(
            "a horizon within a week",
            table(days=6, daily=3000, C=30, T1=33),
            "wait",
            "It is on day 6",
            fixed_horizon={"listeners": 10_000},
        ),
        case(
            "a broken one",
            visits(C=30, T1=21),
            "do not ship",
            "T1 breaks a guardrail: 'Visits' -30.0 % (-31.5 to -28.4 %), which may fall by at",
            **LIMITED,
        ),
        case(
            "worse within the margin",
            visits(C=30, T1=28.8),
            "ship",
            "though 'Visits' -4.0 % (-5.7 to -2.2 %) is surely worse, within its margin.",
            **LIMITED,
        ),
        case(
            "too small",
            LARGE(T1=30.3),
            "do not ship",
            "T1 is too small to matter: 'Minutes' +1.00 % (+0.57 to +1.43 %), and 2 % is",
            smallest_effect_pct=2,
        ),
        case(
            "nothing", LARGE(T1=30), "do not ship", "too small", smallest_effect_pct=1
        ),
        case(
            "two better arms",
            table(C=30, T1=33, T2=33.3),
            "ship",
            "T1 is better than C: 'Minutes' +10.0 % (+8.0 to +12.1 %), 33 instead of 30; against T2"
            ": -2.6 to +0.9 %.",
        ),
        # a listener of the control with as many plays as all others
        case(
            "in the control",
            spoil(listeners(), "index == 0", minutes=1.2e5),
            "wait",
            "'Minutes' of T1: 29.7 instead of 89.1, which may be chance.",
        ),
        case(
            "a ratio to nothing",
            listeners(plays=0.0),
            "do not trust",
            "'Minutes / plays' has the same value for all listeners of C, or none: nothing",
            metrics=["minutes / plays"],
        ),
        case("a thousandth", MANY, "wait", "chance", shares={"C": 1, "T1": 999}),
        case(
            "a paused arm",
            spoil(GAIN, "arm == 'T1' and time > '2026-01-11'", count=5500),
            "do not trust",
            "The arms do not have their shares of the listeners (p < 0.0001): C 7,000, 6,250 exp",
        ),
        case(
            "a holdout",
            HOLDOUT,
            "ship",
            "'Minutes' of H: 0.0 % (-4.5 to +4.8 %), which may be chance; against T1: -13.2 to",
            shares={"C": 10, "T1": 10, "H": 1},
        ),
    ],
)
def test_each_situation_has_its_verdict_and_sentence(
    rows: pd.DataFrame, decision: str, sentence: str, options: dict[str, Any]
) -> None:
    report = judge(rows, **options)
    text = str(report).replace("\N{NARROW NO-BREAK SPACE}", " ")
    text = text.replace(numbers.MINUS, "-")
    assert report.verdict.decision == decision, text
    assert sentence in text


def test_a_day_with_another_split_is_said() -> None:
    rows = table(daily=150, C=30, T1=33)
    moved = np.where(rows["arm"] == "C", 50, -50) * (rows["time"] >= "2026-01-05")
    report = judge(rows.assign(count=rows["count"] + moved))
    assert report.verdict.decision == "ship"
    split = "C 200, T1 100"
    sentence = f"On 2026-01-05 the arms do not have their shares of the new listeners: {split}."
    assert words.warnings(report.report) == [sentence]


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
