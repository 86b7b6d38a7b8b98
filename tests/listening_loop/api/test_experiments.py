"""A/B reports on data frames: Welch's test, and the verdict by the rules of reports."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import listening_loop as ll

pytestmark = pytest.mark.dask  # which `ll` imports


def test_arms_of_a_data_frame_are_compared_as_by_welch_s_test() -> None:
    times = np.random.default_rng(3).gamma(2.0, size=100)
    arms = [0] * 60 + [1] * 40
    rows = pd.DataFrame({"group": arms, "user": range(100), "Time": times})

    def effect_of(rows: pd.DataFrame, listener: str | None = None) -> dict[str, object]:
        horizon = {"listeners": 100, "interim_analyses": 1}
        report = ll.ab(
            rows,
            metrics=["Time"],
            arm="group",
            control=0,
            listener=listener,
            fixed_horizon=horizon,
        )
        (effect,) = report.effects.to_dict("records")
        assert report.verdict.decision in report._repr_html_().lower()
        return {str(name): value for name, value in effect.items()}

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
            rows.assign(Time=rows["Time"].where(rows["user"] > 3)),
            "metric Time, arm 0: 4 listeners have no finite number; leave",
        ),
        (
            pd.concat([rows, rows[rows["user"] == 0].assign(group=2)]),
            "1 listeners are in no arm or in several, or have no id",
        ),
        (rows.assign(user=None), "1 listeners are in no arm"),
        (rows[:0], "no rows of metric Time; found are none"),
    ):
        with pytest.raises(ll.Error, match=message):
            effect_of(data, "user")


def test_booleans_name_the_control_and_only_lower_or_higher_is_better() -> None:
    rows = pd.DataFrame({"arm": [False, True] * 9, "a": range(18)})
    report = ll.ab(rows, metrics={"a": "lower"}, control=False)
    assert report.effects["arm"].to_list() == ["true"]
    with pytest.raises(
        ll.Error, match="metrics: a: 'less'; 'higher' or 'lower' is expected"
    ):
        ll.ab(rows, metrics={"a": "less"})  # type: ignore[dict-item]  # refused
    with pytest.raises(ll.Error, match=r"guardrails=\['a'\]: the change in % by colu"):
        ll.ab(rows, metrics="a", guardrails=["a"])  # type: ignore[arg-type]  # refused
    for metrics in (3, [3]):
        with pytest.raises(
            ll.Error, match=r"metrics=\[?3\]?: names of columns are exp"
        ):
            ll.ab(rows, metrics=metrics)  # type: ignore[arg-type]  # refused
    with pytest.raises(ll.Error, match=r"^data=\[\]: name event logs"):
        ll.ab([])
