"""Sample ratio mismatch (SRM): test whether each arm has its share of the listeners."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from analysis.errors import AnalysisError

THRESHOLD = 0.001
# listeners that each prior of the arms' true shares weighs as much as
_CONCENTRATIONS = np.array([1e1, 1e3, 1e5])


@dataclass(frozen=True)
class SampleRatio:
    """Observed and expected numbers of listeners by arm, with the test of their ratio."""

    expected: dict[str, float]  # listeners by arm, from the configured shares
    observed: dict[str, int]  # listeners by arm
    # p-value of the configured shares, valid at any time; None if there is nothing to test
    p_value: float | None = None
    threshold: float = THRESHOLD  # below it the ratio counts as wrong
    # whether it is wrong, so that the experiment must not be trusted
    mismatch: bool = False


def check_sample_ratio(
    listeners: Mapping[str, int], shares: Mapping[str, float] | None = None
) -> SampleRatio:
    """Test for a sample ratio mismatch; the test may be repeated any number of times.

    Lindon & Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS 2022: the Bayes
    factor of Dirichlet priors around the shares, averaged over three widths, reaches 1 / level with
    a probability of at most the level. The threshold follows Fabijan et al., Diagnosing Sample
    Ratio Mismatch in Online Controlled Experiments, KDD 2019. Shares are positive, in any unit,
    equal by default. An arm with a share but no listeners counts.

    >>> check_sample_ratio({"C": 1000, "T1": 900}, {"C": 1, "T1": 1}).mismatch
    False
    >>> check_sample_ratio({"C": 1000, "T1": 800}).mismatch
    True

    Raises:
        AnalysisError: An arm has listeners but no share.
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
    counts = np.array([*observed.values()])
    expected_shares = np.array([*expected.values()]) / total
    priors = np.outer(_CONCENTRATIONS, expected_shares)
    arms = special.gammaln(priors + counts) - special.gammaln(priors)
    factors = arms.sum(axis=1) - special.xlogy(counts, expected_shares).sum()
    factors += special.gammaln(_CONCENTRATIONS)
    factors -= special.gammaln(_CONCENTRATIONS + total)
    factor = float(special.logsumexp(factors) - np.log(len(factors)))
    p_value = float(np.exp(-max(0.0, factor)))
    return SampleRatio(expected, observed, p_value, mismatch=p_value < THRESHOLD)


def check_by_day(
    days: Iterable[Mapping[str, int]], shares: Mapping[str, float] | None = None
) -> Iterator[SampleRatio]:
    """Test the new listeners of each day for a sample ratio mismatch.

    Each day has a Bayes factor of its own, and the n-th day the share 1 / (n (n + 1)) of the level.
    The shares add up to 1, so the probability that any day is called wrong is at most the level:
    the weighted mean of the factors is an e-process too (Vovk & Wang, E-values: Calibration,
    Combination and Applications, Annals of Statistics 49(3), 2021).

    >>> days = [{"C": 150, "T1": 150}, {"C": 200, "T1": 100}]
    >>> [day.mismatch for day in check_by_day(days)]
    [False, True]

    Args:
        days: New listeners by arm, one mapping for each day in order.
        shares: Shares of the listeners by arm, in any unit; equal by default.
    """
    for number, listeners in enumerate(days, start=1):
        ratio = check_sample_ratio(listeners, shares)
        if ratio.p_value is not None:
            p_value = min(1.0, ratio.p_value * number * (number + 1))
            ratio = replace(ratio, p_value=p_value, mismatch=p_value < THRESHOLD)
        yield ratio
