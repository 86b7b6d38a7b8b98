"""What all sweeps of a fit share: the responses they learn from, those held out, and the regression they repeat."""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from looplib.arrays import AnyIntArray, Float32Array, Int32Array
from recsys.session_model.likelihood import (
    FIRST_DISPERSION,
    find_decay,
    mean_and_slope,
    measure_dispersion,
    working_responses,
)
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import (
    Grouping,
    Observations,
    Vectors,
    paired_dots,
    precision_of,
    solve_rows,
    variances_along,
)

# A listener's few responses, or openings, count against this many of everybody's.
LISTENER_PRIOR = 10.0
_HELD_OUT = 20  # one response in so many
_LEAST_SHRINKAGE = 0.01
# One more parameter is kept when it lowers the held-out deviance by so many times what it would by
# chance.
WORTH_IT = 4.0


class Training:
    """Responses to tracks whose artists are new to their sessions: those kept to learn from, those held out."""

    def __init__(self, responses: Responses, step: float, threads: int) -> None:
        """Divide the responses; time is logged in steps of `step`."""
        fresh = np.flatnonzero(responses.earlier == 0).astype(np.int32)
        if not len(
            fresh
        ):  # the catalogue has one artist, so that its fatigue is in every time
            fresh = np.arange(len(responses), dtype=np.int32)
        self.responses, self.step, self.threads, self.fresh = (
            responses,
            step,
            threads,
            fresh,
        )
        self.held_out = fresh[_HELD_OUT - 1 :: _HELD_OUT]
        kept = np.delete(fresh, np.s_[_HELD_OUT - 1 :: _HELD_OUT])
        self.kept, self.opening, self.time = (
            kept,
            responses.opening[kept],
            responses.time[kept],
        )
        self.by_track = Grouping(responses.track[kept], len(responses.tracks))
        self.dispersion, self.tiredness = FIRST_DISPERSION, 1.0

    def rest(self, responses: AnyIntArray) -> Float32Array | float:
        """Return what tiredness has left of the mean share of these responses."""
        if self.tiredness == 1:
            return 1.0
        before = self.responses.before[responses]
        return (self.tiredness ** np.arange(before.max(initial=0) + 1)).astype(
            np.float32
        )[before]

    def opening_biases(self) -> Float32Array:
        """Return the logit of the mean share of each opening's listener, shape (openings,)."""
        who, people = self.responses.listener[self.opening], len(self.responses.users)
        count = np.bincount(who, minlength=people) + LISTENER_PRIOR
        usual = np.clip(self.time.mean(), self.step, 1 - self.step)
        mean = (np.bincount(who, self.time, people) + LISTENER_PRIOR * usual) / count
        biases: Float32Array = np.log(mean / (1 - mean)).astype(np.float32)[
            self.responses.listener
        ]
        return biases

    def regress(
        self,
        rows: Grouping,
        columns: Grouping,
        start: Vectors,
        features: Vectors,
        offset: Float32Array | float,
        expected: Float32Array,
    ) -> Vectors:
        """Move the vectors of rows from `start` by one step of iteratively reweighted least squares.

        The logit of each response is offset + vector of its row . features of its column. The
        vectors are drawn to those `expected`, shape (rows, k), by the inverse of their spread about
        them.
        """
        precision = precision_of(start.means - expected, start.covariance)
        dots = paired_dots(
            start.means, rows.row, features.means, columns.row, self.threads
        )
        off, weights = working_responses(
            offset + dots, self.time, self.dispersion, self.step, self.rest(self.kept)
        )
        observed = Observations(rows, columns.row, dots + off, weights)
        return solve_rows(observed, features, expected, precision, self.threads)

    def measure(
        self,
        vectors: Vectors,
        row_of: AnyIntArray,
        tracks: Vectors,
        bias: Float32Array | None = None,
    ) -> None:
        """Measure the dispersion and the tiredness by the responses held out.

        Args:
            vectors: Of rows.
            row_of: The row of each opening.
            tracks: Of each track.
            bias: What is added to the logits of each opening; none in the final model, whose error
                is not counted as noise of the responses.
        """
        track, opening = (
            self.responses.track[self.held_out],
            self.responses.opening[self.held_out],
        )
        row, features, time = (
            row_of[opening],
            tracks.with_constant(),
            self.responses.time[self.held_out],
        )
        logit = paired_dots(vectors.means, row, features.means, track, self.threads)
        uncertainty = np.zeros(len(logit), dtype=np.float32)
        if bias is None:
            uncertainty += variances_along(features.means, vectors.covariance)[track]
            uncertainty += variances_along(vectors.means, features.covariance)[row]
            mean, _ = mean_and_slope(logit)
            tiredness, gain = find_decay(
                mean, time, self.responses.before[self.held_out], has_level=True
            )
            by_chance = float(np.sum((time - mean) ** 2)) / max(
                float(np.sum(mean)), _LEAST_SHRINKAGE
            )
            self.tiredness = tiredness if gain > WORTH_IT * by_chance else 1.0
        else:
            logit = bias[opening] + logit
        self.dispersion = measure_dispersion(
            logit, time, uncertainty, self.step, self.rest(self.held_out)
        )


def listener_tastes(
    listener: AnyIntArray,
    mapped: Float32Array,
    vectors: Float32Array,
    counts: AnyIntArray,
) -> tuple[Float32Array, Float32Array]:
    """Find each listener's scale and constant: by them, vectors are scale * mapped, then constant.

    Args:
        listener: Of each vector, shape (vectors,); all numbers up to the largest are listeners.
        mapped: What organic tracks say of the vectors, shape (vectors, k).
        vectors: Those fitted, shape (vectors, k + 1).
        counts: How much each counts.
    """
    along = np.bincount(
        listener, counts * np.einsum("ij,ij->i", mapped, vectors[:, :-1])
    )
    squared = np.bincount(listener, counts * np.einsum("ij,ij->i", mapped, mapped))
    shrink = max(float(squared.mean()) / LISTENER_PRIOR, _LEAST_SHRINKAGE)
    summed = np.bincount(listener, counts * vectors[:, -1]) + LISTENER_PRIOR * float(
        vectors[:, -1].mean()
    )
    scale, constant = (
        (along + shrink) / (squared + shrink),
        summed / (np.bincount(listener, counts) + LISTENER_PRIOR),
    )
    return scale.astype(np.float32), constant.astype(np.float32)


def group_openings(
    listener: AnyIntArray, organic: AnyIntArray, vectors: Float32Array, distance: float
) -> Int32Array:
    """Group each listener's organic tracks by complete linkage: any two of a group are within a cosine distance.

    Args:
        listener: Listener of each opening, ascending, shape (openings,).
        organic: Organic track of each opening, shape (openings,).
        vectors: Of each track, shape (tracks, k); their mean is taken from each.
        distance: The largest cosine distance within a group, 0..2.

    Returns:
        The interest of each opening, numbered over all listeners without gaps, shape (openings,).
    """
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    directions: Float32Array = (centred / np.where(lengths > 0, lengths, 1)).astype(
        np.float32
    )
    interest = np.empty(len(listener), dtype=np.int32)
    starts = np.flatnonzero(np.diff(listener, prepend=-1)).tolist()
    known = 0
    for start, end in zip(starts, [*starts[1:], len(listener)], strict=True):
        own = directions[organic[start:end]]
        groups = np.zeros(1, dtype=np.int32)
        if len(own) > 1:
            upper = np.triu_indices(len(own), 1)
            distances = np.maximum(1.0 - (own @ own.T)[upper].astype(np.float64), 0.0)
            groups = fcluster(linkage(distances, "complete"), distance, "distance") - 1
        interest[start:end] = known + groups
        known += int(groups.max()) + 1
    return interest
