"""A reward model out of a recommender's scores: how long a listed track will be heard, learned from other listeners."""

import numpy as np
from scipy.optimize import isotonic_regression

from analysis.offpolicy.policies import Guesses, ListPolicy
from looplib.arrays import FloatArray

FOLDS = 2


def guess_from_scores(policy: ListPolicy, scores: FloatArray) -> Guesses:
    """Guesses listening times by an isotonic regression of the listening time on the score.

    The regression for a listener is fitted on the other half of the listeners (cross-fitting: Chernozhukov et al.,
    Double/debiased machine learning, 2018), so a guess never knows the outcome that it will be compared with, and the
    doubly robust estimate stays unbiased however bad the scores are.

    Args:
        policy: Lists as they are served.
        scores: Of each entry of the lists, higher is better; shape (entries,).
    """
    values = calibrate(policy, scores)
    return Guesses(policy.lists.at_hits(values), policy.expected(values))


def calibrate(policy: ListPolicy, scores: FloatArray) -> FloatArray:
    """The listening time guessed of each entry, 0..1; shape (entries,)."""
    lists = policy.lists
    usable = (policy.probability > 0) & lists.sessions.counted
    kept = usable[lists.hit_event]
    entry, event = lists.hit_entry[kept], lists.hit_event[kept]
    weight = policy.probability[event] / lists.sessions.propensity[event]
    fold_of_entry = np.repeat(np.arange(len(lists.length)), lists.length) % FOLDS
    guesses = np.zeros(len(scores))
    for fold in range(FOLDS):
        others = fold_of_entry[entry] != fold
        here = fold_of_entry == fold
        guesses[here] = _isotonic(
            scores[entry[others]], lists.sessions.time[event[others]], weight[others], at=scores[here]
        )
    return guesses


def _isotonic(scores: FloatArray, times: FloatArray, weights: FloatArray, at: FloatArray) -> FloatArray:
    """Fits times that do not fall as scores rise (Barlow et al., 1972), and reads the fit off at other scores."""
    if not len(scores):
        return np.zeros(len(at))
    distinct, place = np.unique(scores, return_inverse=True)
    weight = np.bincount(place, weights)
    mean = np.bincount(place, weights * times) / weight
    return np.interp(at, distinct, isotonic_regression(mean, weights=weight).x)
