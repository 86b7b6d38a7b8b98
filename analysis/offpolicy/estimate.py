"""Off-policy estimates: the mean listening time that a policy's recommendations would have had at the logged requests.

At request i the logged track a was drawn with propensity p and heard for the share r; the policy would have drawn it
with probability π(a), and w = π(a) / p. Over n requests:

- IPS = Σ w r / n (Horvitz & Thompson, 1952): unbiased, and the noisiest;
- SNIPS = Σ w r / Σ w (Swaminathan & Joachims, The self-normalized estimator for counterfactual learning, 2015): free of
  the noise in how many listed tracks happened to be drawn, at a bias of the order 1 / n;
- DR = Σ (q(π) + w (r - q(a))) / n (Dudík, Langford & Li, Doubly robust policy evaluation and learning, 2011), where q
  is a reward model: unbiased however bad q is, and the less noisy the better it is.

What is assumed:

- propensities are true, and above 0 wherever the policy would go (support), and the policy was not learned from these
  sessions. Σ w / n is then 1 on average: less without support, more where the policy knows what was heard;
- listeners, whom the bootstrap draws, are independent;
- requests weigh as they were logged: the value is the mean over the sessions that the *logging* recommender led to.
  Served, a policy makes sessions of its own, longer where it suits. Correcting for that takes the product of a whole
  session's weights (Precup, Sutton & Singh, Eligibility traces for off-policy policy evaluation, 2000), which random
  recommendations from thousands of tracks never allow; nor, therefore, can the length of a session be predicted.

The effective sample size (Σ w)² / Σ w² of the listeners' weights (Kish, Survey sampling, 1965; Owen, Monte Carlo
theory, methods and examples, 2013, ch. 9.3) says how far a weighted mean can be trusted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from analysis.errors import AnalysisError
from analysis.offpolicy.logged import LoggedSessions
from analysis.offpolicy.policies import Lists, Matcher, Policy, RewardModel, Serving
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import AnyIntArray, BoolArray, FloatArray

# A mean over n draws of shares between 0 and 1 has a 95 % interval of at most ± 0.98 / √n: ± 0.1 at 100. Lists worth
# comparing differ by less, and with fewer draws the bootstrap's interval covers too seldom.
MIN_ESS = 100.0
# Standard errors by which the mean weight may miss 1; by chance it does so once in 16,000 times.
_SUPPORT_ERRORS = 4.0
_FOLDS = 2


@dataclass(frozen=True)
class PerListener:
    """Sums over each listener's requests; arrays of shape (listeners,)."""

    requests: FloatArray  # requests that count
    weights: FloatArray  # Σ w
    times: FloatArray  # Σ w r
    corrected: FloatArray | None  # Σ (q(π) + w (r - q(a))); None without a reward model


@dataclass(frozen=True)
class OffPolicyEstimate:
    """What a policy is worth: the mean listening time of a track that it recommends, share 0..1."""

    ips: Interval  # by inverse propensities
    snips: Interval  # by self-normalised inverse propensities
    dr: Interval | None  # doubly robust; None without a reward model
    mean_weight: Interval  # Σ w / n; 1 is expected
    requests: int  # requests that count, n
    unanswered: int  # requests where the policy had nothing to recommend, such as a list that was used up; left out
    matched: int  # requests whose logged track the policy might have recommended, w > 0
    ess: float  # effective sample size of the listeners' weights
    reasons: tuple[str, ...]  # why nothing should be concluded from the estimate; empty if something may
    per_listener: PerListener  # the sums it is made of

    @property
    def best(self) -> Interval:
        """The doubly robust estimate where there is a reward model, else the self-normalised one."""
        return self.dr or self.snips


class OffPolicy:
    """Estimates the value of policies, all on the same logged sessions and bootstrap resamples of their listeners."""

    def __init__(self, sessions: LoggedSessions, *, resamples: int = 1000, seed: int = 0) -> None:
        """Prepare what does not depend on a policy; an AnalysisError says that no request has a known propensity."""
        if not sessions.counted.any():
            raise AnalysisError(
                f"no recommendation of the {sessions.sessions:,} sessions has a known propensity ({sessions.unknown:,} "
                f"have none, {sessions.unfollowed:,} were not played); state the logging policy, if it is known"
            )
        self.sessions = sessions
        self.resamples = bootstrap.Resamples(len(sessions.users), resamples, seed)
        self._matcher = Matcher(sessions)

    def value_lists(
        self, users: AnyIntArray, tracks: AnyIntArray, *, serving: Serving = "random", scores: FloatArray | None = None
    ) -> OffPolicyEstimate:
        """Estimate the value of lists of recommendations as they are served.

        Args:
            users: The user of each list, shape (lists,), in any order; requests of others are unanswered.
            tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the longest).
            serving: "random": any track of the list not heard in the session; "in-order": the first such.
            scores: The recommender's score of each track, of the shape of `tracks`; they give the doubly robust
                estimate its reward model.

        Raises:
            AnalysisError: The lists cannot be used, or a score is not finite.
        """
        lists = self._matcher.match(users, tracks)
        policy = lists.serve(serving)
        if scores is None:
            return self.value(policy)
        order = np.argsort(users)
        row = order[np.searchsorted(users[order], self.sessions.users[lists.entries.listeners])]
        of_entries = scores[row, lists.entries.ranks - 1]
        if not np.isfinite(of_entries).all():
            raise AnalysisError("scores of recommended tracks must be finite numbers")
        times = predict_times(lists, policy, of_entries)
        return self.value(policy, RewardModel(lists.at_hits(times), lists.expected(serving, times)))

    def value(self, policy: Policy, rewards: RewardModel | None = None) -> OffPolicyEstimate:
        """Estimate the value of any policy by what it would have done at the logged requests.

        Raises:
            AnalysisError: The policy answers no request that counts.
        """
        counted = self.sessions.counted & policy.answered
        if not counted.any():
            raise AnalysisError("the policy has nothing to recommend at any request whose propensity is known")
        weights = np.zeros(len(counted))
        np.divide(policy.probability, self.sessions.propensity, out=weights, where=counted)
        sums = self._per_listener(counted, weights, rewards)
        ips, snips, mean_weight, *dr = self._intervals(sums)
        squares = float(sums.weights @ sums.weights)
        ess = float(sums.weights.sum()) ** 2 / squares if squares else 0.0
        return OffPolicyEstimate(
            ips=ips,
            snips=snips,
            dr=dr[0] if dr else None,
            mean_weight=mean_weight,
            requests=int(np.count_nonzero(counted)),
            unanswered=int(np.count_nonzero(self.sessions.counted & ~policy.answered)),
            matched=int(np.count_nonzero(weights)),
            ess=ess,
            reasons=_reasons(ess, sums),
            per_listener=sums,
        )

    def _per_listener(self, counted: BoolArray, weights: FloatArray, rewards: RewardModel | None) -> PerListener:
        sessions = self.sessions

        def total(values: npt.NDArray[np.generic]) -> FloatArray:
            return np.bincount(sessions.listener, values, minlength=len(sessions.users)).astype(np.float64)

        corrected = None
        if rewards is not None:
            corrections = total(weights * (sessions.time - rewards.heard))
            corrected = total(np.where(counted, rewards.expected, 0.0)) + corrections
        return PerListener(total(counted), total(weights), total(weights * sessions.time), corrected)

    def _intervals(self, sums: PerListener) -> list[Interval]:
        """Return IPS, SNIPS, the mean weight, and DR where there is a reward model: ratios of sums over listeners."""
        numerators = [sums.times, sums.times, sums.weights]
        denominators = [sums.requests, sums.weights, sums.requests]
        if sums.corrected is not None:
            numerators.append(sums.corrected)
            denominators.append(sums.requests)
        ratios = bootstrap.Ratios(np.column_stack(numerators), np.column_stack(denominators))
        (resampled,) = bootstrap.estimate(self.resamples, ratios)
        return bootstrap.intervals(ratios.whole, resampled)


def predict_times(lists: Lists, policy: Policy, scores: FloatArray) -> FloatArray:
    """Predict listening times from a recommender's scores by an isotonic regression.

    The regression for a listener is fitted on the other half of the listeners (cross-fitting: Chernozhukov et al.,
    Double/debiased machine learning, 2018): no prediction knows the outcome it will be compared with, so the doubly
    robust estimate stays unbiased however bad the scores are.

    Args:
        lists: Lists of recommendations.
        policy: The lists as they are served.
        scores: Of each entry of the lists, higher is better; shape (entries,).

    Returns:
        Listening time of each entry, 0..1; shape (entries,).
    """
    sessions = lists.sessions
    kept = ((policy.probability > 0) & sessions.counted)[lists.hit_event]
    entry, event = lists.hit_entry[kept], lists.hit_event[kept]
    weight = policy.probability[event] / sessions.propensity[event]
    fold = np.repeat(np.arange(len(lists.length)), lists.length) % _FOLDS
    times = np.zeros(len(scores))
    for number in range(_FOLDS):
        here, others = fold == number, fold[entry] != number
        if others.any():
            distinct, code = np.unique(scores[entry[others]], return_inverse=True)
            weights = np.bincount(code, weight[others])
            mean = np.bincount(code, weight[others] * sessions.time[event[others]]) / weights
            # Barlow et al., Statistical inference under order restrictions, 1972.
            fitted = isotonic_regression(mean, weights=weights).x
            times[here] = np.interp(scores[here], distinct, fitted)
    return times


def _reasons(ess: float, sums: PerListener) -> tuple[str, ...]:
    if ess < MIN_ESS:  # too small for the mean weight's standard error, too
        return (f"the effective sample size is {ess:.1f}, at least {MIN_ESS:.0f} is needed",)
    # The standard error of a ratio over listeners: Cochran, Sampling techniques, 1977, ch. 6.4.
    requests, count = sums.requests.sum(), len(sums.weights)
    mean = float(sums.weights.sum() / requests)
    deviations = sums.weights - mean * sums.requests
    error = float(np.sqrt(float(deviations @ deviations) * count / max(count - 1, 1)) / requests)
    if abs(mean - 1) <= _SUPPORT_ERRORS * error:
        return ()
    cause = (
        "the logging policy never recommends some of what this one would"
        if mean < 1
        else "the policy was learned from these sessions"
    )
    return (f"the mean weight is {mean:.2f} ± {error:.2f}, 1 is expected: {cause}, or the propensities are wrong",)
