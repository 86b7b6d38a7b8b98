"""A/B reports on data frames: Welch's test, and the verdict by the rules of reports."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import listening_loop as ll

pytestmark = pytest.mark.dask  # which `ll` imports


def test_arms_of_a_data_frame_are_compared_as_by_welch_s_test() -> None:
    times = np.random.default_rng(3).gamma(2.0, size=100)
    arms = ["C"] * 60 + ["T1"] * 40
    rows = pd.DataFrame({"arm": arms, "user": range(100), "time": times})

    def effect_of(rows: pd.DataFrame, listener: str | None = None) -> dict[str, object]:
        horizon = {"listeners": 100, "interim_analyses": 1}
        report = ll.ab(rows, metrics=["time"], listener=listener, fixed_horizon=horizon)
        (effect,) = report.effects.to_dict("records")
        return dict(effect)

    effect = effect_of(rows)
    welch = stats.ttest_ind(times[60:], times[:60], equal_var=False)
    change = times[60:].mean() / times[:60].mean() - 1
    assert effect["p_value"] == pytest.approx(welch.pvalue, rel=1e-3)
    assert effect["effect_pct"] == pytest.approx(100 * change)
    assert effect_of(rows, "user") == pytest.approx(effect)
    # the same sessions twice say nothing new of the listeners
    assert effect_of(pd.concat([rows, rows]), "user") == pytest.approx(effect)
    for data, message in (
        (
            rows.assign(time=rows["time"].where(rows["user"] > 3)),
            "4 listeners have no time",
        ),
        (
            pd.concat([rows, rows[rows["user"] == 0].assign(arm="T2")]),
            "listener 0 is in two arms, C and T2",
        ),
        (rows[:0], "C and another arm are expected; found are none"),
    ):
        with pytest.raises(ll.Error, match=message):
            effect_of(data, "user")


def test_a_guardrail_of_a_data_frame_stops_a_better_arm() -> None:
    generator = np.random.default_rng(4)
    arms = np.arange(2000) % 2
    time, ms = generator.gamma([[2.0], [9.0]], size=(2, 2000))
    rows = pd.DataFrame({"group": arms, "Time": time * np.where(arms, 1.5, 1)})
    for cost, decision in ((1.0, "ship"), (1.3, "do not ship")):
        rows["ms"] = ms * np.where(arms, cost, 1)
        report = ll.ab(
            rows, metrics=["Time"], guardrails={"ms": 10}, arm="group", control=0
        )
        assert report.verdict.decision == decision, str(report)
        assert set(report.effects["metric"]) == {"Time", "ms"}
        assert decision in report._repr_html_().lower()
