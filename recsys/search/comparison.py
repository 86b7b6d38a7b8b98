"""Compare models on the same listeners, with intervals.

Each listener has a value under both models of a pair, so the interval of the difference is
narrower than the interval of either model. Intervals come from a bootstrap over listeners with the
same resamples for all models (`analysis.statistics.bootstrap`). The same listeners choose the best
model, and the best of many equal models looks better than most. Simultaneous intervals correct for
the choice: in 95 % of searches, no model that is as good as the best is called worse.
"""

import math
from functools import cache

import numpy as np
from scipy import special

from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE, Interval
from looplib.arrays import FloatArray
from looplib.randomness import make_generator
from recsys.dataset.dataset import open_dataset
from recsys.models.trial import Checkpoint
from recsys.search.evaluation import RESAMPLES, Evaluation, validator_for
from recsys.storage import Workspace

_ROUNDING = 1e-6  # share of the largest standard error


@cache
def compare_steps(
    evaluation: Evaluation,
    run: Workspace,
    steps: tuple[Checkpoint, ...],
    best: int | None = None,
) -> list[Interval]:
    """Estimate how far each step is behind the best step, or behind another step."""
    parts = np.stack([evaluation.read_listeners(run, step) for step in steps])
    if best is None:
        sums = parts.sum(axis=2)
        best = int(np.argmax(sums[:, 0] / sums[:, 1]))
    return differences(parts, best, RESAMPLES, evaluation.seed)


def score_thirds(
    evaluation: Evaluation, run: Workspace, step: Checkpoint
) -> dict[str, Interval]:
    """Score thirds of the listeners, who played few, some and many tracks in training.

    Returns:
        The choosing metric by the numbers of tracks, such as "0 to 12".
    """
    users = validator_for(evaluation).users
    tracks = open_dataset(evaluation.dataset).counts("training")[users]
    thirds = np.array_split(np.argsort(tracks, kind="stable"), 3)
    is_in = np.array([np.isin(np.arange(len(users)), third) for third in thirds])
    parts = evaluation.read_listeners(run, step)[:, np.newaxis] * is_in
    resamples = bootstrap.Resamples(len(users), RESAMPLES, evaluation.seed)
    intervals = bootstrap.ratio_intervals(resamples, *parts.transpose(0, 2, 1))
    metrics = {}
    for third, interval in zip(thirds, intervals, strict=True):
        if len(third):
            metrics[f"{tracks[third[0]]} to {tracks[third[-1]]}"] = interval
    return metrics


def differences(
    parts: FloatArray,
    reference: int,
    resamples: int,
    seed: int,
) -> list[Interval]:
    """Estimate the difference of each model's metric from a reference, with simultaneous intervals.

    Max-T: the width of the 95 % intervals, in standard errors, is such that in 95 % of the
    resamples no difference of two models is larger. Multiple comparisons with the best: Hsu,
    Multiple Comparisons, 1996, chapters 4 and 5; Romano & Wolf, Exact and Approximate Stepdown
    Methods for Multiple Hypothesis Testing, 2005, section 4.

    Args:
        parts: Numerators and denominators of the listeners, shape (models, 2, listeners).
        reference: Position of the model that the others are compared with.
        resamples: The number of resamples of the listeners.
        seed: Decides which listeners are drawn.
    """
    listeners = parts.shape[2]
    drawn = bootstrap.Resamples(listeners, resamples, seed)
    values, errors = _standard_errors(parts)
    noise = bootstrap.estimate(drawn, parts[:, 0].T, parts[:, 1].T) - values
    largest = np.array(
        [np.max(np.abs(row[:, np.newaxis] - row) / errors) for row in noise]
    )
    to_reference = errors[reference]
    errors_behind = np.where(np.isinf(to_reference), 0.0, to_reference)
    margins = _critical(largest, listeners) * errors_behind
    return _intervals(values - values[reference], margins)


def cross_fit(parts: FloatArray, folds: int, seed: int) -> FloatArray:
    """Score each fold of the listeners under the model that the other folds choose.

    No listener scores a model that the same listener chose, and all listeners score.

    Args:
        parts: Parts of the models to choose from; see `differences`.
        folds: The number of folds.
        seed: Decides which listeners are in a fold.

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


def leads(parts: FloatArray) -> list[Interval]:
    """Estimate the difference of each model's metric from the first model's, with 95 % intervals.

    Each interval holds for its pair alone. The claim that all intervals exclude 0 is wrong no more
    often than a single claim: an intersection-union test (Berger, Multiparameter Hypothesis
    Testing, 1982).

    Args:
        parts: Parts of the models; see `differences`.
    """
    values, errors = _standard_errors(parts)
    margins = errors[0] * special.stdtrit(parts.shape[2] - 1, (1 + CONFIDENCE) / 2)
    return _intervals(values - values[0], margins)[1:]


def _intervals(values: FloatArray, margins: FloatArray) -> list[Interval]:
    ends = (values, values - margins, values + margins)
    return list(map(Interval, *(end.tolist() for end in ends)))


def _standard_errors(parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the standard error of the difference of each two models, by the delta method.

    Unlike the spread of the resamples, the errors do not depend on the draw. Equal models differ by
    rounding alone, not by chance: the standard error of their difference is infinite.

    Returns:
        The metric of each model, shape (models,), and the errors, shape (models, models).
    """
    numerators, denominators = parts[:, 0], parts[:, 1]
    totals = denominators.sum(axis=1)
    values = bootstrap.divide(numerators.sum(axis=1), totals)
    totals = np.where(totals > 0, totals, 1)
    residuals = numerators - values[:, np.newaxis] * denominators
    shares = residuals / totals[:, np.newaxis]
    covariances = shares @ shares.T
    variances = np.diag(covariances)
    sums = variances[:, np.newaxis] + variances
    errors: FloatArray = np.sqrt(np.maximum(sums - 2 * covariances, 0))
    errors[errors <= _ROUNDING * np.sqrt(variances.max())] = np.inf
    return values, errors


def _critical(largest: FloatArray, listeners: int) -> float:
    """Compute the critical value in standard errors: a quantile of the largest difference.

    The rank of the quantile is one standard error higher, because the resamples are few. Student's
    distribution then takes the place of the normal distribution.
    """
    count = len(largest)
    rank = CONFIDENCE * count + math.sqrt(CONFIDENCE * (1 - CONFIDENCE) * count)
    normal = np.sort(largest)[min(math.ceil(rank), count) - 1]
    return float(-special.stdtrit(listeners - 1, special.ndtr(-normal)))
