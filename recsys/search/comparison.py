"""Compare models in pairs, listener by listener, with intervals that hold for all pairs at once.

Each listener has a value under both models of a pair, so their difference has a narrower interval
than either. Intervals are the bootstrap's over listeners, the same resamples for all
(`analysis.statistics.bootstrap`). Which model comes first is chosen by the same listeners, and of
many equal ones the best looks better than most; with simultaneous intervals, in 95 % of searches
nothing that is as good as the best is called worse.
"""

import math

import numpy as np
from scipy import special

from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

MetricValue = tuple[float, float, float]  # value and the ends of its 95 % interval
_ROUNDING = 1e-6  # of the largest standard error


def differences(
    parts: FloatArray,
    reference: int,
    resamples: int,
    seed: int,
) -> list[MetricValue]:
    """Estimate how far each model's metric is from a reference's, with simultaneous 95 % intervals.

    Max-T: an interval reaches so many standard errors that in 95 % of the resamples no difference
    of two models is larger. Multiple comparisons with the best: Hsu, Multiple Comparisons, 1996,
    chapters 4 and 5; Romano & Wolf, Exact and Approximate Stepdown Methods for Multiple Hypothesis
    Testing, 2005, section 4.

    Args:
        parts: Numerators and denominators of the listeners, shape (models, 2, listeners).
        reference: Position of the model that the others are compared with.
        resamples: How many resamples of the listeners there are.
        seed: Decides which.
    """
    numerators = parts[:, 0]
    denominators = parts[:, 1]
    listeners = parts.shape[2]
    values = bootstrap.divide(numerators.sum(axis=1), denominators.sum(axis=1))
    drawn = bootstrap.Resamples(listeners, resamples, seed)
    estimates = bootstrap.estimate(drawn, numerators.T, denominators.T)
    noise = estimates - values
    errors = _standard_errors(numerators, denominators, values)
    largest = np.array(
        [np.max(np.abs(row[:, np.newaxis] - row) / errors) for row in noise]
    )
    to_reference = errors[reference]
    errors_behind = np.where(np.isinf(to_reference), 0.0, to_reference)
    margins = _critical(largest, listeners) * errors_behind
    behind = values - values[reference]
    ends = (behind, behind - margins, behind + margins)
    return list(zip(*(end.tolist() for end in ends), strict=True))


def cross_fit(parts: FloatArray, folds: int, seed: int) -> FloatArray:
    """Score each fold of the listeners under the model that the other folds choose.

    So no listener scores what his own listening chose, and all of them score.

    Args:
        parts: Of the models to choose from, as of `differences`.
        folds: How many folds there are.
        seed: Decides which.

    Returns:
        Numerators and denominators of the listeners, shape (2, listeners).
    """
    fold_of = make_generator(seed, "folds").integers(folds, size=parts.shape[2])
    scored = np.empty(parts.shape[1:])
    for fold in range(folds):
        is_inside = fold_of == fold
        sums = parts[:, :, ~is_inside].sum(axis=2)
        best = np.argmax(bootstrap.divide(sums[:, 0], sums[:, 1]))
        scored[:, is_inside] = parts[best][:, is_inside]
    return scored


def leads(parts: FloatArray) -> list[MetricValue]:
    """Estimate how far each model's metric is from the first one's, with 95 % intervals.

    Each interval is for its pair alone. That all of them exclude 0 is wrong no more often than one
    is: an intersection-union test (Berger, Multiparameter Hypothesis Testing, 1982).

    Args:
        parts: As of `differences`.
    """
    numerators, denominators = parts[:, 0], parts[:, 1]
    values = bootstrap.divide(numerators.sum(axis=1), denominators.sum(axis=1))
    errors = _standard_errors(numerators, denominators, values)[0]
    margins = errors * special.stdtrit(parts.shape[2] - 1, (1 + CONFIDENCE) / 2)
    behind = values - values[0]
    ends = (behind, behind - margins, behind + margins)
    return list(zip(*(end[1:].tolist() for end in ends), strict=True))


def _standard_errors(
    numerators: FloatArray,
    denominators: FloatArray,
    values: FloatArray,
) -> FloatArray:
    """Compute the standard error of the difference of each two models, by the delta method.

    Unlike the spread of the resamples it does not depend on which are drawn. Equal models differ by
    rounding alone, and not by chance: the standard error of their difference is infinite.
    """
    totals = denominators.sum(axis=1)
    totals = np.where(totals > 0, totals, 1)
    residuals = numerators - values[:, np.newaxis] * denominators
    shares = residuals / totals[:, np.newaxis]
    covariances = shares @ shares.T
    variances = np.diag(covariances)
    sums = variances[:, np.newaxis] + variances
    errors: FloatArray = np.sqrt(np.maximum(sums - 2 * covariances, 0))
    errors[errors <= _ROUNDING * np.sqrt(variances.max())] = np.inf
    return errors


def _critical(largest: FloatArray, listeners: int) -> float:
    """Compute how many standard errors the largest difference stays within, a resampled quantile.

    The quantile's rank is one standard error higher, as there are only so many resamples, and the
    result is as much larger as Student's distribution is wider than the normal one.
    """
    count = len(largest)
    rank = CONFIDENCE * count + math.sqrt(CONFIDENCE * (1 - CONFIDENCE) * count)
    normal = np.sort(largest)[min(math.ceil(rank), count) - 1]
    return float(-special.stdtrit(listeners - 1, special.ndtr(-normal)))
