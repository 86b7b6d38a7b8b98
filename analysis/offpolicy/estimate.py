"""Off-policy estimates: the mean listening time that a policy's recommendations would have had at the logged requests.

At request i, with the session so far h, the logged track a was drawn with propensity p and then heard for the share r;
the policy would have drawn it with probability π(a | h), and w = π(a | h) / p. Over n requests:

- IPS = Σ w r / n (Horvitz & Thompson, 1952): unbiased, and the noisiest;
- SNIPS = Σ w r / Σ w (Swaminathan & Joachims, The self-normalized estimator for counterfactual learning, 2015): free of
  the noise in how many listed tracks happened to be drawn, at a bias of the order 1 / n;
- DR = Σ (q(π, h) + w (r - q(a, h))) / n (Dudík, Langford & Li, Doubly robust policy evaluation and learning, 2011),
  where q is a reward model: unbiased however bad q is, and the less noisy the better it is.

What is assumed:

- the propensities are true, and above 0 wherever the policy would go (support);
- the sessions are none that the policy was learned from. With both, Σ w / n is 1 on average: it is less without
  support, and more where the policy knows what was heard; where it is far from 1 the estimate is not conclusive;
- listeners are independent of one another: they are what the bootstrap draws;
- requests weigh as they were logged. A policy decides at each of them with the logged session before it, so the value
  is the mean over the sessions that the *logging* recommender led to. Served, a policy makes sessions of its own: those
  that it suits become longer and weigh more (the served value is higher), its lists use up their best tracks and repeat
  artists (lower, and most so "in-order"). Correcting for that takes the product of the weights of a whole session
  (Precup, Sutton & Singh, Eligibility traces for off-policy policy evaluation, 2000), which random recommendations
  from thousands of tracks never allow; nor, for the same reason, can the length of a session be foretold.

How far one may trust a weighted mean is said by the effective sample size (Σ w)² / Σ w² (Kish, Survey sampling, 1965;
Owen, Monte Carlo theory, methods and examples, 2013, ch. 9.3), here of whole listeners' weights.
"""

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.offpolicy.logged import LoggedSessions
from analysis.offpolicy.policies import Matcher, Policy, RewardModel, Serving, serve
from analysis.offpolicy.result import Estimate, OffPolicyEstimate, PerListener
from analysis.offpolicy.reward_model import guess_from_scores
from analysis.statistics import bootstrap
from looplib.arrays import AnyIntArray, BoolArray, FloatArray

# A mean over n draws of shares between 0 and 1 has a 95 % interval of at most ± 0.98 / √n: ± 0.1 at 100. The lists that
# are to be told apart differ by less, and with fewer draws the bootstrap's interval covers too seldom.
MIN_ESS = 100.0
# Standard errors by which the mean weight may miss 1; by chance it does so once in 16,000 times.
_SUPPORT_ERRORS = 4.0


class OffPolicy:
    """Values policies on the same logged sessions, always on the same bootstrap resamples of their listeners.

    Attributes:
        sessions: The logged sessions.
        resamples: Of their listeners.
    """

    def __init__(self, sessions: LoggedSessions, *, resamples: int = 1000, seed: int = 0) -> None:
        """Prepares everything that does not depend on a policy.

        Args:
            sessions: Sessions that the policies were not learned from.
            resamples: Bootstrap resamples.
            seed: Seed of the run.

        Raises:
            AnalysisError: No request has a known propensity, or the resamples cannot be drawn.
        """
        if not sessions.counted.any():
            raise AnalysisError(
                f"no recommendation of the {sessions.sessions:,} sessions has a known propensity ({sessions.unknown:,} "
                f"have none, {sessions.unfollowed:,} were not played); state the logging policy, if it is known"
            )
        self.sessions = sessions
        self.resamples = bootstrap.Resamples(len(sessions.users), resamples, seed)
        self._matcher = Matcher(sessions)

    def value_lists(
        self,
        users: AnyIntArray,
        tracks: AnyIntArray,
        *,
        serving: Serving = "random",
        scores: npt.ArrayLike | None = None,
    ) -> OffPolicyEstimate:
        """Values lists of recommendations as they are served.

        Args:
            users: The user of each list, shape (lists,), in any order; requests of others are unanswered.
            tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the longest).
            serving: "random": any track of the list not heard in the session; "in-order": the first such.
            scores: The recommender's score of each track, of the shape of `tracks`; they give the doubly robust
                estimate its reward model.

        Raises:
            AnalysisError: The arrays cannot be used, or there is no such serving.
        """
        lists, entries = self._matcher.match(users, tracks)
        policy = serve(lists, serving)
        if scores is None:
            return self.value(policy)
        all_scores = np.asarray(scores, dtype=np.float64)
        if all_scores.shape != tracks.shape:
            raise AnalysisError(
                f"scores of shape {all_scores.shape} for lists of shape {tracks.shape}; both must agree"
            )
        order = np.argsort(users)
        row = order[np.searchsorted(users[order], self.sessions.users[entries.listeners])]
        of_entries = all_scores[row, entries.ranks - 1]
        if not np.isfinite(of_entries).all():
            raise AnalysisError("scores of recommended tracks must be finite numbers")
        return self.value(policy, guess_from_scores(policy, of_entries))

    def value(self, policy: Policy, rewards: RewardModel | None = None) -> OffPolicyEstimate:
        """Values any policy by what it would have done at the logged requests.

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
        ess = _effective_size(sums.weights)
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

    def difference(self, one: OffPolicyEstimate, other: OffPolicyEstimate) -> Estimate:
        """How much more one policy is worth than another by SNIPS, both valued here; drawn on the same resamples."""
        pairs = [_ratios(policy.per_listener) for policy in (one, other)]
        first, second = bootstrap.estimate(self.resamples, *pairs)
        return Estimate(
            one.snips.value - other.snips.value, *bootstrap.percentile_interval(first - second)[:, 1].tolist()
        )

    def _per_listener(self, counted: BoolArray, weights: FloatArray, rewards: RewardModel | None) -> PerListener:
        sessions = self.sessions

        def total(values: npt.NDArray[np.generic]) -> FloatArray:
            return np.bincount(sessions.listener, values, minlength=len(sessions.users)).astype(np.float64)

        return PerListener(
            users=sessions.users,
            requests=total(counted),
            weights=total(weights),
            times=total(weights * sessions.time),
            guesses=None if rewards is None else total(np.where(counted, rewards.expected, 0.0)),
            corrections=None if rewards is None else total(weights * (sessions.time - rewards.heard)),
        )

    def _intervals(self, sums: PerListener) -> list[Estimate]:
        """IPS, SNIPS, the mean weight, and DR where there are guesses."""
        ratios = _ratios(sums)
        (resampled,) = bootstrap.estimate(self.resamples, ratios)
        values = bootstrap.ratio(ratios.numerators.sum(axis=0), ratios.denominators.sum(axis=0))
        ends = bootstrap.percentile_interval(resampled)
        return [Estimate(*row) for row in np.vstack([values, ends]).T.tolist()]


def _ratios(sums: PerListener) -> bootstrap.Ratios:
    """The estimates as ratios of sums over listeners: IPS, SNIPS, the mean weight, and DR where there are guesses."""
    numerators = [sums.times, sums.times, sums.weights]
    denominators = [sums.requests, sums.weights, sums.requests]
    if sums.guesses is not None and sums.corrections is not None:
        numerators.append(sums.guesses + sums.corrections)
        denominators.append(sums.requests)
    return bootstrap.Ratios(np.column_stack(numerators), np.column_stack(denominators))


def _effective_size(weights: FloatArray) -> float:
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _reasons(ess: float, sums: PerListener) -> tuple[str, ...]:
    if ess < MIN_ESS:  # too small for the mean weight's standard error, too
        return (f"the effective sample size is {ess:.1f}, at least {MIN_ESS:.0f} is needed",)
    mean, error = _mean_weight(sums)
    if abs(mean - 1) <= _SUPPORT_ERRORS * error:
        return ()
    cause = (
        "the logging policy never recommends some of what this one would"
        if mean < 1
        else "the policy was learned from these sessions"
    )
    return (f"the mean weight is {mean:.2f} ± {error:.2f}, 1 is expected: {cause}, or the propensities are wrong",)


def _mean_weight(sums: PerListener) -> tuple[float, float]:
    """Σ w / n and its standard error over listeners (Cochran, Sampling techniques, 1977, ch. 6.4)."""
    requests = sums.requests.sum()
    mean = sums.weights.sum() / requests
    deviations = sums.weights - mean * sums.requests
    count = len(deviations)
    variance = float(deviations @ deviations) * count / max(count - 1, 1)
    return float(mean), float(np.sqrt(variance) / requests)
