"""Bootstrap: intervals that cover, resamples that depend on nothing but the seed."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import Resamples


def all_draws(resamples: Resamples) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.vstack([*resamples.blocks()])


def test_resamples_follow_from_units_and_seed_kept_or_drawn_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, other = (all_draws(Resamples(300, 130, seed)) for seed in (5, 5, 6))
    assert first.shape == (130, 300)
    assert (first.sum(axis=1) == 300).all()
    assert (first == second).all()
    assert (first != other).any()
    monkeypatch.setattr(bootstrap, "_KEPT_BYTES", 0)
    assert (all_draws(Resamples(300, 130, 5)) == first).all()


def test_ratios_are_those_of_the_repeated_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    numerators = rng.random((30, 4))
    denominators = rng.integers(0, 3, (30, 4)).astype(float)
    resamples = Resamples(30, 70, 1)
    expected = [
        numerators.repeat(draws, axis=0).sum(axis=0)
        / denominators.repeat(draws, axis=0).sum(axis=0)
        for draws in all_draws(resamples)
    ]
    for values in (bootstrap._PRODUCT_VALUES, 90):  # three resamples at a time
        monkeypatch.setattr(bootstrap, "_PRODUCT_VALUES", values)
        ratios = bootstrap.estimate(resamples, numerators, denominators)
        assert ratios == pytest.approx(np.array(expected))


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(7).beta(0.5, 2, size=400)
    columns = values[:, None], np.ones((400, 1))
    means = bootstrap.estimate(Resamples(400, 5000, 1), *columns)[:, 0]
    ours = np.quantile(means, [0.025, 0.975])
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=5000,
        method="percentile",
        rng=np.random.default_rng(8),
    ).confidence_interval
    assert ours == pytest.approx(
        [theirs.low, theirs.high], abs=0.1 * (theirs.high - theirs.low)
    )
