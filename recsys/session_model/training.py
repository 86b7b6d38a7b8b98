"""What all sweeps of a fit share: the responses they learn from, those held out, and the regression they repeat."""

from typing import NamedTuple

import numpy as np

from looplib.arrays import AnyIntArray, Float32Array
from recsys.session_model.likelihood import FIRST_DISPERSION, measure_dispersion, working_responses
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import Grouping, Observations, Vectors, paired_dots, solve_rows

# A listener's few responses, or openings, count against this many of everybody's.
LISTENER_PRIOR = 10.0
_HELD_OUT = 20  # one response in so many
_LEAST_SHRINKAGE = 0.01


class Prior(NamedTuple):
    """What is expected of the vectors of rows before any response."""

    means: Float32Array  # shape (rows, k)
    precision: Float32Array  # inverse covariance about them, shape (k, k)


def exact(means: Float32Array) -> Vectors:
    """Take vectors as if they were known without error."""
    return Vectors(means, np.zeros((means.shape[1], means.shape[1]), dtype=np.float32))


def with_constant(vectors: Vectors) -> Vectors:
    """Append the constant 1, which is known."""
    ones = np.ones((len(vectors.means), 1), dtype=np.float32)
    return Vectors(np.hstack([vectors.means, ones]), np.pad(vectors.covariance, (0, 1)))


def without_constant(vectors: Vectors) -> Vectors:
    """Leave out the last element."""
    return Vectors(np.ascontiguousarray(vectors.means[:, :-1]), vectors.covariance[:-1, :-1])


def listener_tastes(
    listener: AnyIntArray, mapped: Float32Array, vectors: Float32Array, counts: AnyIntArray
) -> tuple[Float32Array, Float32Array]:
    """Find each listener's scale and constant: by them, vectors are scale * mapped, then constant.

    Args:
        listener: Of each vector, shape (vectors,); all numbers up to the largest are listeners.
        mapped: What organic tracks say of the vectors, shape (vectors, k).
        vectors: Those fitted, shape (vectors, k + 1).
        counts: How much each counts.
    """
    along = np.bincount(listener, counts * np.einsum("ij,ij->i", mapped, vectors[:, :-1]))
    squared = np.bincount(listener, counts * np.einsum("ij,ij->i", mapped, mapped))
    shrink = max(float(squared.mean()) / LISTENER_PRIOR, _LEAST_SHRINKAGE)
    summed = np.bincount(listener, counts * vectors[:, -1]) + LISTENER_PRIOR * float(vectors[:, -1].mean())
    scale, constant = (along + shrink) / (squared + shrink), summed / (np.bincount(listener, counts) + LISTENER_PRIOR)
    return scale.astype(np.float32), constant.astype(np.float32)


class Training:
    """Responses to tracks whose artists are new to their sessions: those kept to learn from, those held out."""

    def __init__(self, responses: Responses, step: float, threads: int) -> None:
        """Divide the responses; time is logged in steps of `step`."""
        fresh = np.flatnonzero(responses.earlier == 0)
        if not len(fresh):  # the catalogue has one artist, so that its fatigue is in every time
            fresh = np.arange(len(responses))
        self.responses, self.step, self.threads = responses, step, threads
        self.held_out = fresh[_HELD_OUT - 1 :: _HELD_OUT]
        kept = np.delete(fresh, np.s_[_HELD_OUT - 1 :: _HELD_OUT])
        self.opening, self.time = responses.opening[kept], responses.time[kept]
        self.by_track = Grouping(responses.track[kept], len(responses.tracks))
        self.dispersion = FIRST_DISPERSION

    def listener_biases(self) -> Float32Array:
        """Return the logit of each listener's mean share, shape (listeners,)."""
        who, people = self.responses.listener[self.opening], len(self.responses.users)
        count = np.bincount(who, minlength=people) + LISTENER_PRIOR
        usual = np.clip(self.time.mean(), self.step, 1 - self.step)
        mean = (np.bincount(who, self.time, people) + LISTENER_PRIOR * usual) / count
        biases: Float32Array = np.log(mean / (1 - mean)).astype(np.float32)
        return biases

    def regress(
        self,
        rows: Grouping,
        columns: Grouping,
        start: Float32Array,
        features: Vectors,
        offset: Float32Array | float,
        prior: Prior,
    ) -> Vectors:
        """Move the vectors of rows from `start` by one step of iteratively reweighted least squares.

        The logit of each response is offset + vector of its row . features of its column.
        """
        dots = paired_dots(start, rows.row, features.means, columns.row, self.threads)
        off, weights = working_responses(offset + dots, self.time, self.dispersion, self.step)
        observed = Observations(rows, columns.row, dots + off, weights)
        return solve_rows(observed, features, prior.means, prior.precision, self.threads)

    def measure(
        self, vectors: Vectors, row: AnyIntArray, features: Vectors, offset: Float32Array | float, *, known: bool
    ) -> None:
        """Measure the dispersion by the responses held out.

        Args:
            vectors: Of rows.
            row: The row of each response held out.
            features: Of each track.
            offset: What is added to the product of the two.
            known: Whether the model is the final one, whose error is not counted as noise of the responses.
        """
        track = self.responses.track[self.held_out]
        logit = offset + paired_dots(vectors.means, row, features.means, track, self.threads)
        uncertainty = np.zeros(len(logit), dtype=np.float32)
        if known:
            left, right = vectors.means[row], features.means[track]
            uncertainty += np.einsum("ij,ij->i", right @ vectors.covariance, right)
            uncertainty += np.einsum("ij,ij->i", left @ features.covariance, left)
        self.dispersion = measure_dispersion(logit, self.responses.time[self.held_out], uncertainty, self.step)
