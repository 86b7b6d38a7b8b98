"""Whether sessions end by a budget: equal, unequal and too few listeners."""

import numpy as np
import pytest

from analysis.ab.parts.data_quality import MARGIN_PCT, compare_budgets
from looplib.arrays import FloatArray


def listeners(
    rng: np.random.Generator, count: int, share: float, budget: float
) -> dict[str, FloatArray]:
    """Sums of listeners with three sessions each, which end when so much was not heard, give or take."""
    unheard = 3 * budget * rng.lognormal(-0.02, 0.2, count)
    tracks = unheard / (1 - share)
    return {
        "sessions": np.full(count, 3.0),
        "recommended_tracks": tracks,
        "recommended_time": tracks * share,
    }


@pytest.mark.parametrize(("budget", "holds"), [(5.0, True), (5.8, False)])
def test_budgets_are_compared_whatever_share_is_heard(
    budget: float, holds: bool
) -> None:
    rng = np.random.default_rng(1)
    (found,) = compare_budgets(
        {"C": listeners(rng, 2000, 0.2, 5.0), "T1": listeners(rng, 2000, 0.6, budget)},
        "C",
    )
    assert found.holds is holds
    assert found.arm == "T1"
    assert found.control_value == pytest.approx(5.0, rel=0.02)
    assert found.arm_value == pytest.approx(budget, rel=0.02)


def test_few_listeners_say_neither() -> None:
    rng = np.random.default_rng(2)
    (found,) = compare_budgets(
        {"C": listeners(rng, 12, 0.2, 5.0), "T1": listeners(rng, 12, 0.6, 5.1)}, "C"
    )
    assert found.holds is None


def test_budgets_that_differ_by_the_margin_are_called_equal_in_fewer_than_one_of_twenty_experiments() -> (
    None
):
    rng = np.random.default_rng(3)
    beyond = 5.0 * (1 + MARGIN_PCT / 100)
    called = [
        compare_budgets(
            {
                "C": listeners(rng, 400, 0.2, 5.0),
                "T1": listeners(rng, 400, 0.6, beyond),
            },
            "C",
        )[0].holds
        for _ in range(400)
    ]
    assert np.mean([holds is True for holds in called]) < 0.05


def test_an_arm_without_recommended_tracks_has_no_budget() -> None:
    nothing = {
        name: np.zeros(5) for name in ("recommended_tracks", "recommended_time")
    } | {"sessions": np.ones(5)}
    assert compare_budgets({"C": nothing, "T1": nothing}, "C") == ()
