"""Off-policy estimators against the Open Bandit Pipeline's, from its definitions.

Its round-wise rewards (`obp.ope.estimators`, 0.5.7), with the weight
w = π(a | x, position) / propensity and the reward r, are

- InverseProbabilityWeighting: w r, averaged;
- SelfNormalizedInverseProbabilityWeighting: w r / mean(w), averaged.
"""

import numpy as np
import pytest

from analysis.offpolicy.estimate import estimate_policy
from analysis.offpolicy.logged import LoggedSessions
from benchmarks.open_bandit import Impressions, probabilities, value

ROUNDS, ACTIONS, POSITIONS = 3000, 12, 3


def obp_estimates(
    reward: np.ndarray,
    action: np.ndarray,
    position: np.ndarray,
    pscore: np.ndarray,
    action_dist: np.ndarray,
) -> dict[str, float]:
    """Estimates from arrays of shape (rounds,), and (rounds, actions, positions)."""
    iw = action_dist[np.arange(len(reward)), action, position] / pscore
    return {
        "ips": float((reward * iw).mean()),
        "snips": float((reward * iw / iw.mean()).mean()),
    }


def test_estimates_equal_those_of_the_open_bandit_pipeline() -> None:
    rng = np.random.default_rng(1)
    logging = rng.dirichlet(np.full(ACTIONS, 0.4), POSITIONS) * 0.9 + 0.1 / ACTIONS
    evaluated = rng.dirichlet(np.full(ACTIONS, 0.6), POSITIONS)
    position = rng.integers(POSITIONS, size=ROUNDS)
    action = np.array(
        [rng.choice(ACTIONS, p=logging[shown]) for shown in position.tolist()]
    )
    reward = (rng.random(ROUNDS) < 0.1 + 0.5 * action / ACTIONS).astype(np.float64)
    pscore, rounds = logging[position, action], np.arange(ROUNDS)
    action_dist = np.broadcast_to(evaluated.T, (ROUNDS, ACTIONS, POSITIONS))

    impressions = LoggedSessions(
        rounds, rounds, rounds, action, reward, pscore, unknown=0, unfollowed=0
    )
    served = evaluated[position, action], np.full(ROUNDS, fill_value=True)
    found = estimate_policy(impressions, *served, resamples=2)
    reference = obp_estimates(reward, action, position, pscore, action_dist)
    ours = {"ips": found.ips, "snips": found.snips}
    assert {name: interval.value for name, interval in ours.items()} == pytest.approx(
        reference, rel=0, abs=1e-9
    )


def test_one_impression_that_weighs_as_much_as_all_others_is_refused() -> None:
    """As in the log of women/bts."""
    rng = np.random.default_rng(2)
    items = rng.integers(4, size=1000)
    propensity = np.full(1000, 0.25)
    propensity[7] = 1e-6
    log = Impressions(
        items,
        np.ones(1000, np.int64),
        (rng.random(1000) < 0.1).astype(float),
        propensity,
    )
    _, found = value(log, probabilities(log, is_uniform=True))
    assert "effective sample size is 1.0" in found.reasons[0]
