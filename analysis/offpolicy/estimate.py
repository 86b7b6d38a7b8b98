"""Off-policy estimates: the mean listening time of a policy's recommendations at logged requests.

At request i the logged track a was drawn with propensity p and heard for the share r; the policy
would have drawn it with probability π(a), and w = π(a) / p. Over n requests:

- IPS = Σ w r / n (Horvitz & Thompson, 1952): unbiased, and the noisiest;
- SNIPS = Σ w r / Σ w (Swaminathan & Joachims, The self-normalized estimator for counterfactual
  learning, 2015): free of the noise in how many listed tracks happened to be drawn, at a bias of
  the order 1 / n.

What is assumed: propensities are true, and above 0 wherever the policy would go (support), and the
policy was not learned from these sessions: Σ w / n is then 1 on average, less without support, more
where the policy knows what was heard. Listeners, whom the bootstrap draws, are independent.
Requests weigh as they were logged: the value is the mean over the sessions that the *logging*
recommender led to. How long the sessions of a policy would be is not estimated.

The effective sample size (Σ w)² / Σ w² of the listeners' weights (Kish, Survey sampling, 1965;
Owen, Monte Carlo theory, methods and examples, 2013, ch. 9.3) says how far a weighted mean can be
trusted.
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis.errors import AnalysisError
from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval, estimate
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import BoolArray, FloatArray

# A mean over n draws of shares between 0 and 1 has a 95 % interval of at most ± 0.98 / √n: ± 0.1 at
# 100. Lists worth comparing differ by less, and with fewer draws the bootstrap's interval covers
# too seldom.
MIN_ESS = 100.0
# Standard errors by which the mean weight may miss 1; by chance it does so once in 16,000 times.
_SUPPORT_ERRORS = 4.0


@dataclass(frozen=True)
class OffPolicyEstimate:
    """What a policy is worth: the mean listening time of a track that it recommends, share 0..1."""

    ips: Interval  # by inverse propensities
    snips: Interval  # by self-normalised inverse propensities
    mean_weight: Interval  # Σ w / n; 1 is expected
    requests: int  # requests that count, n
    # requests where the policy had nothing to recommend, such as a list that was used up; left out
    unanswered: int
    matched: int  # requests whose logged track the policy might have recommended, w > 0
    ess: float  # effective sample size of the listeners' weights
    # why nothing should be concluded from the estimate; empty if something may
    reasons: tuple[str, ...]
    # requests that count, Σ w and Σ w r of each listener; shape (3, listeners)
    sums: FloatArray


def estimate_policy(
    sessions: LoggedSessions,
    probability: FloatArray,
    answered: BoolArray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> OffPolicyEstimate:
    """Estimate the value of any policy by what it would have done at the logged requests.

    Args:
        sessions: The logged sessions.
        probability: With which the policy recommends the very track that was heard; shape
            (events,), organic tracks do not matter.
        answered: Whether the policy has a track to recommend; other requests are left out.
        resamples: Of the bootstrap, the same for every policy.
        seed: Of these.

    Raises:
        AnalysisError: No request has a known propensity, or the policy answers none that counts.
    """
    if not sessions.counted.any():
        raise AnalysisError(
            f"no recommendation of the {sessions.sessions:,} sessions has a known "
            f"propensity ({sessions.unknown:,} have none, {sessions.unfollowed:,} were "
            "not played); state the logging policy, if it is known"
        )
    counted = sessions.counted & answered
    if not counted.any():
        raise AnalysisError(
            "the policy has nothing to recommend at any request whose propensity is known"
        )
    listeners = len(sessions.users)
    event_weights = np.zeros(len(counted))
    np.divide(probability, sessions.propensity, out=event_weights, where=counted)
    totals = [
        np.bincount(sessions.listener, values, listeners)
        for values in (counted, event_weights, event_weights * sessions.time)
    ]
    requests, weights, times = sums = np.array(totals, np.float64)
    ips, snips, mean_weight = bootstrap.ratio_intervals(
        bootstrap.Resamples(listeners, resamples, seed),
        np.column_stack([times, times, weights]),
        np.column_stack([requests, weights, requests]),
    )
    squares = float(weights @ weights)
    ess = float(weights.sum()) ** 2 / squares if squares else 0.0
    return OffPolicyEstimate(
        ips=ips,
        snips=snips,
        mean_weight=mean_weight,
        requests=int(np.count_nonzero(counted)),
        unanswered=int(np.count_nonzero(sessions.counted & ~answered)),
        matched=int(np.count_nonzero(event_weights)),
        ess=ess,
        reasons=_reasons(ess, weights, requests),
        sums=sums,
    )


def _reasons(ess: float, weights: FloatArray, requests: FloatArray) -> tuple[str, ...]:
    if ess < MIN_ESS:  # too small for the mean weight's standard error, too
        return (
            f"the effective sample size is {ess:.1f}, at least {MIN_ESS:.0f} is needed",
        )
    moments = Moments.of({"weights": weights, "requests": requests})
    mean_weight = estimate(moments, Quantity("weights", "requests"))
    mean = mean_weight.value
    error = math.sqrt(mean_weight.squared_error)
    if abs(mean - 1) <= _SUPPORT_ERRORS * error:
        return ()
    cause = "the policy was learned from these sessions"
    if mean < 1:
        cause = "the logging policy never recommends some of what this one would"
    return (
        f"the mean weight is {mean:.2f} ± {error:.2f}, 1 is expected: {cause}, "
        "or the propensities are wrong",
    )
