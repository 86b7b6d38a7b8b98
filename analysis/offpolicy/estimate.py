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
from analysis.offpolicy.policies import Policy
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval, estimate
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray

# A mean over n draws of shares between 0 and 1 has a 95 % interval of at most ± 0.98 / √n: ± 0.1 at
# 100. Lists worth comparing differ by less, and with fewer draws the bootstrap's interval covers
# too seldom.
MIN_ESS = 100.0
# Standard errors by which the mean weight may miss 1; by chance it does so once in 16,000 times.
_SUPPORT_ERRORS = 4.0


@dataclass(frozen=True)
class PerListener:
    """Sums over each listener's requests; arrays of shape (listeners,)."""

    requests: FloatArray  # requests that count
    weights: FloatArray  # Σ w
    times: FloatArray  # Σ w r


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
    per_listener: PerListener  # the sums it is made of


class OffPolicy:
    """Estimates the value of policies on the same logged sessions and bootstrap resamples."""

    def __init__(
        self,
        sessions: LoggedSessions,
        *,
        resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        """Prepare what does not depend on a policy.

        Raises:
            AnalysisError: No request has a known propensity.
        """
        if not sessions.counted.any():
            raise AnalysisError(
                f"no recommendation of the {sessions.sessions:,} sessions has a known "
                f"propensity ({sessions.unknown:,} have none, {sessions.unfollowed:,} were "
                "not played); state the logging policy, if it is known"
            )
        self.sessions = sessions
        self.resamples = bootstrap.Resamples(len(sessions.users), resamples, seed)

    def value(self, policy: Policy) -> OffPolicyEstimate:
        """Estimate the value of any policy by what it would have done at the logged requests.

        Raises:
            AnalysisError: The policy answers no request that counts.
        """
        sessions = self.sessions
        counted = sessions.counted & policy.answered
        if not counted.any():
            raise AnalysisError(
                "the policy has nothing to recommend at any request whose propensity is known"
            )
        weights = np.zeros(len(counted))
        np.divide(policy.probability, sessions.propensity, out=weights, where=counted)
        totals = [
            np.bincount(sessions.listener, values, len(sessions.users))
            for values in (counted, weights, weights * sessions.time)
        ]
        sums = PerListener(*np.array(totals, np.float64))
        ratios = bootstrap.Ratios(
            np.column_stack([sums.times, sums.times, sums.weights]),
            np.column_stack([sums.requests, sums.weights, sums.requests]),
        )
        ips, snips, mean_weight = bootstrap.ratio_intervals(self.resamples, ratios)
        squares = float(sums.weights @ sums.weights)
        ess = float(sums.weights.sum()) ** 2 / squares if squares else 0.0
        return OffPolicyEstimate(
            ips=ips,
            snips=snips,
            mean_weight=mean_weight,
            requests=int(np.count_nonzero(counted)),
            unanswered=int(np.count_nonzero(sessions.counted & ~policy.answered)),
            matched=int(np.count_nonzero(weights)),
            ess=ess,
            reasons=_reasons(ess, sums),
            per_listener=sums,
        )


def _reasons(ess: float, sums: PerListener) -> tuple[str, ...]:
    if ess < MIN_ESS:  # too small for the mean weight's standard error, too
        return (
            f"the effective sample size is {ess:.1f}, at least {MIN_ESS:.0f} is needed",
        )
    moments = Moments.of({"weights": sums.weights, "requests": sums.requests})
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
