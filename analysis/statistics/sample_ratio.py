"""Sample ratio mismatch: whether the arms have the shares of listeners that they were configured to have."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.errors import AnalysisError

THRESHOLD = 0.001


@dataclass(frozen=True)
class SampleRatio:
    """Listeners against what the configured shares let expect.

    Attributes:
        listeners: Arm → listeners.
        expected: Arm → listeners expected of as many in all.
        statistic: Chi-square.
        p_value: Of shares as configured; 1 where there is nothing to test.
    """

    listeners: dict[str, int]
    expected: dict[str, float]
    statistic: float
    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether the experiment must not be trusted."""
        return self.p_value < THRESHOLD


def check_sample_ratio(listeners: Mapping[str, int], shares: Mapping[str, float] | None = None) -> SampleRatio:
    """Pearson's chi-square test of the listeners of all arms against their shares.

    Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD 2019, for the test and the
    threshold: it runs on every report, so that only what chance does once in a thousand counts.

    Args:
        listeners: Arm → listeners seen.
        shares: Arm → share, in any unit; equal ones by default.

    Raises:
        AnalysisError: The arms of the two differ, a share is not positive, or a count is negative.
    """
    weights = dict.fromkeys(listeners, 1.0) if shares is None else dict(shares)
    if weights.keys() != listeners.keys():
        found, known = (", ".join(sorted(names)) or "none" for names in (listeners, weights))
        raise AnalysisError(f"sample ratio: listeners of the arms {found}, but shares of {known}")
    for arm in listeners:
        if not 0 < weights[arm] < float("inf"):
            raise AnalysisError(f"sample ratio: the share of {arm} must be positive, found {weights[arm]}")
        if listeners[arm] < 0:
            raise AnalysisError(f"sample ratio: listeners of {arm} must be at least 0, found {listeners[arm]}")
    total, whole = sum(listeners.values()), sum(weights.values())
    expected = {arm: total * weights[arm] / whole for arm in listeners}
    if total == 0 or len(listeners) < 2:
        return SampleRatio(dict(listeners), expected, 0.0, 1.0)
    seen, due = (np.array([values[arm] for arm in listeners], np.float64) for values in (listeners, expected))
    statistic = float(np.sum((seen - due) ** 2 / due))
    return SampleRatio(dict(listeners), expected, statistic, float(stats.chi2.sf(statistic, len(seen) - 1)))
