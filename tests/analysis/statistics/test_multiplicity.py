"""Adjusted p-values, where an independent library is silent."""

import math
from collections.abc import Callable, Sequence

import pytest

from analysis.statistics.multiplicity import benjamini_hochberg, holm


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_was_not_tested_stays_so_and_does_not_count(
    adjust: Callable[[Sequence[float]], list[float]],
) -> None:
    adjusted = adjust([0.01, math.nan, 0.04])
    assert math.isnan(adjusted[1])
    assert [adjusted[0], adjusted[2]] == adjust([0.01, 0.04])
    assert adjust([]) == []
