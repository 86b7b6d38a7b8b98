"""A/B reports on data frames: Welch's test, and the verdict by the rules of reports."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import listening_loop as ll


def test_arms_of_a_data_frame_are_compared_as_by_welch_s_test() -> None:
    generator = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "arm": ["C"] * 60 + ["T1"] * 40,
            "user": range(100),
            "time": generator.gamma(2.0, size=100),
        }
    )
    control, arm = (rows["time"][rows["arm"] == name] for name in ("C", "T1"))
    horizon = {"listeners": 100, "interim_analyses": 1}
    (found,) = ll.ab(rows, metrics=["time"], fixed_horizon=horizon).effects.to_dict(
        "records"
    )
    assert found["p_value"] == pytest.approx(
        stats.ttest_ind(arm, control, equal_var=False).pvalue, rel=1e-3
    )
    assert found["effect_pct"] == pytest.approx(100 * (arm.mean() / control.mean() - 1))
    (by_listener,) = ll.ab(
        rows, metrics=["time"], listener="user", fixed_horizon=horizon
    ).effects.to_dict("records")
    assert by_listener == pytest.approx(found)
    # the same sessions again say nothing new of the listeners
    twice = pd.concat([rows, rows])
    (of_sessions,) = ll.ab(
        twice, metrics=["time"], listener="user", fixed_horizon=horizon
    ).effects.to_dict("records")
    assert of_sessions == pytest.approx(found)
    for data, message in (
        (
            rows.assign(time=rows["time"].where(rows["user"] > 3)),
            "4 listeners have no time",
        ),
        (
            pd.concat([rows, rows.assign(arm="T2")]),
            "listener 0 is in two arms, C and T2",
        ),
        (rows.assign(arm="C"), "C and another arm are expected"),
        (rows[:0], "C and another arm are expected; found are none"),
        (rows[["time"]], "no column arm"),
    ):
        with pytest.raises(ll.Error, match=message):
            ll.ab(data, metrics=["time"], listener="user" if "user" in data else None)


@pytest.mark.parametrize(
    ("lift", "cost", "listeners", "decision"),
    [
        (1.5, 1.0, 2000, "ship"),
        (1.5, 1.3, 2000, "do not ship"),
        (1.0, 1.0, 2000, "wait"),
    ],
)
def test_a_data_frame_has_a_verdict_by_the_rules_of_reports(
    lift: float, cost: float, listeners: int, decision: str
) -> None:
    generator = np.random.default_rng(4)
    is_treated = np.arange(listeners) % 2 == 1
    rows = pd.DataFrame(
        {
            "group": np.where(is_treated, "B", "A"),
            "Time": generator.gamma(2.0, size=listeners),
        }
    )
    rows["Time"] *= np.where(is_treated, lift, 1)
    rows["ms"] = generator.gamma(9.0, size=listeners) * np.where(is_treated, cost, 1)
    report = ll.ab(
        rows, metrics=["Time"], guardrails={"ms": 10}, arm="group", control="A"
    )
    assert report.verdict.decision == decision, str(report)
    assert {"Time", "ms"} == set(report.effects["metric"])
    assert f"{decision}" in report._repr_html_().lower()
