"""Sample ratio mismatch (SRM): whether the arms have their shares of the listeners."""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import special

from analysis.errors import AnalysisError

THRESHOLD = 0.001


@dataclass(frozen=True)
class SampleRatio:
    """Listeners of the arms against those expected."""

    expected: dict[str, float]  # listeners by arm, from the configured shares
    observed: dict[str, int]  # listeners by arm
    chi_square: float | None = None  # of the test; None where there is nothing to test
    # of shares as configured; None where there is nothing to test
    p_value: float | None = None
    threshold: float = THRESHOLD  # below it the ratio counts as wrong
    # whether it is wrong, so that the experiment must not be trusted
    mismatch: bool = False


def check_sample_ratio(
    listeners: Mapping[str, int], shares: Mapping[str, float] | None = None
) -> SampleRatio:
    """Test the numbers of listeners against the arms' shares by Pearson's chi-square.

    Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD 2019, for
    the test and the threshold: it runs on every report, so that only what chance does once in a
    thousand counts. Shares are positive, in any unit, equal by default; an arm with a share and no
    listeners counts.

    Raises:
        AnalysisError: An arm has listeners and no share.

    >>> check_sample_ratio({"C": 1000, "T1": 900}, {"C": 1, "T1": 1}).mismatch
    False
    >>> check_sample_ratio({"C": 1000, "T1": 800}).mismatch
    True
    """
    shares = shares or dict.fromkeys(listeners, 1.0)
    for arm in listeners:
        if arm not in shares:
            raise AnalysisError(
                f"arm {arm} is in the log and has no share; "
                f"shares are given for {', '.join(shares)}"
            )
    observed = {arm: listeners.get(arm, 0) for arm in (*listeners, *shares)}
    total = sum(observed.values())
    whole = sum(shares.values())
    expected = {arm: total * shares[arm] / whole for arm in observed}
    if not total:
        return SampleRatio(expected, observed)
    chi_square = sum((observed[arm] - n) ** 2 / n for arm, n in expected.items())
    p_value = float(special.chdtrc(len(expected) - 1, chi_square))
    return SampleRatio(
        expected, observed, chi_square, p_value, mismatch=p_value < THRESHOLD
    )
