"""Compare organic tracks coarsely: two are alike when the same tracks are heard after them, over all listeners."""

from collections.abc import Callable

import numpy as np

from looplib.arrays import Float32Array
from recsys.session_model.ridge import Grouping, Vectors, precision_of
from recsys.session_model.training import Prior, Training, exact, with_constant, without_constant

_FIRST_OPENER_RIDGE = 3.0


def fit_organics(
    training: Training, first: Float32Array, sweeps: int, report: Callable[[], None]
) -> tuple[Vectors, Vectors]:
    """Fit the responses to each organic track, over all listeners, against each track, beside a listener's bias.

    Args:
        training: The responses.
        first: First vectors of the tracks, shape (tracks, k).
        sweeps: Sweeps to make.
        report: Called after each.

    Returns:
        Vectors of the tracks as openers of sessions, with a constant, (tracks, k + 1), and as what is heard.
    """
    size, opening = first.shape[1], training.opening
    organic = training.responses.organic
    by_organic, by_track = Grouping(organic[opening], len(first)), training.by_track
    bias = training.listener_biases()[training.responses.listener]
    held = training.responses.opening[training.held_out]
    tracks = exact(first)
    openers = Vectors(np.zeros((len(first), size + 1), np.float32), np.eye(size + 1, dtype=np.float32))
    openers = Vectors(openers.means, openers.covariance / np.float32(_FIRST_OPENER_RIDGE))
    nothing = np.zeros_like(openers.means)
    for sweep in range(sweeps):
        if sweep:
            offset = bias[opening] + openers.means[by_organic.row, size]
            features = without_constant(openers)
            prior = Prior(nothing[:, :size], precision_of(tracks.means, tracks.covariance))
            tracks = training.regress(by_track, by_organic, tracks.means, features, offset, prior)
        prior = Prior(nothing, precision_of(openers.means, openers.covariance))
        openers = training.regress(by_organic, by_track, openers.means, with_constant(tracks), bias[opening], prior)
        training.measure(openers, organic[held], with_constant(tracks), bias[held], known=False)
        report()
    return openers, tracks
