"""Hold the responses that all sweeps of a fit learn from, and move vectors by a regression."""

import numpy as np

from looplib.arrays import AnyIntArray, Float32Array
from recsys.session_model.likelihood import (
    FIRST_DISPERSION,
    measure_dispersion,
    working_responses,
)
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import (
    Grouping,
    Observations,
    Vectors,
    estimate_precision,
    paired_dots,
    solve_rows,
    variances_along,
)

# A listener's responses are averaged with this many of everybody's.
LISTENER_PRIOR = 10.0
_HELD_OUT = 20  # one response in so many


class Training:
    """Responses to tracks whose artists are new to their sessions, to learn from or held out."""

    def __init__(self, responses: Responses, threads: int) -> None:
        """Divide the responses."""
        fresh = np.flatnonzero(responses.earlier == 0).astype(np.int32)
        if not len(fresh):  # of one artist alone: its fatigue is in every time
            fresh = np.arange(len(responses), dtype=np.int32)
        is_held_out = np.arange(len(fresh)) % _HELD_OUT == _HELD_OUT - 1
        self.responses = responses
        self.threads = threads
        self.fresh = fresh
        self.held_out = fresh[is_held_out]
        self.kept = fresh[~is_held_out]
        self.opening = responses.opening[self.kept]
        self.time = responses.time[self.kept]
        self.by_track = Grouping(responses.track[self.kept], len(responses.tracks))
        self.dispersion = FIRST_DISPERSION
        self.bias = self._opening_biases()

    def _opening_biases(self) -> Float32Array:
        """Return the logit of the mean share of each opening's listener, shape (openings,)."""
        listener = self.responses.listener
        heard_by = listener[self.opening]
        listeners = len(self.responses.users)
        usual = np.clip(self.time.mean(), 0.01, 0.99)
        times = np.bincount(heard_by, self.time, listeners)
        counts = np.bincount(heard_by, minlength=listeners)
        mean = (times + LISTENER_PRIOR * usual) / (counts + LISTENER_PRIOR)
        logits = np.log(mean / (1 - mean))
        biases: Float32Array = logits.astype(np.float32)[listener]
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
        """Move the vectors of rows by one step of iteratively reweighted least squares.

        The logit of each response is offset + vector of its row . features of its column. The
        vectors are drawn to those `expected`, shape (rows, k), by the inverse of the spread about
        these.
        """
        precision = estimate_precision(start.means - expected, start.covariance)
        dots = paired_dots(
            start.means, rows.row, features.means, columns.row, self.threads
        )
        off, weights = working_responses(offset + dots, self.time, self.dispersion)
        observed = Observations(rows, columns.row, dots + off, weights)
        return solve_rows(observed, features, expected, precision, self.threads)

    def measure(self, vectors: Vectors, row_of: AnyIntArray, tracks: Vectors) -> None:
        """Measure the dispersion by the responses held out.

        Args:
            vectors: The vectors of the rows.
            row_of: The row of each opening.
            tracks: The vectors of the tracks.
        """
        track = self.responses.track[self.held_out]
        opening = self.responses.opening[self.held_out]
        row = row_of[opening]
        features = tracks.with_constant()
        dots = paired_dots(vectors.means, row, features.means, track, self.threads)
        uncertainty = variances_along(features.means, vectors.covariance)[track]
        uncertainty += variances_along(vectors.means, features.covariance)[row]
        time = self.responses.time[self.held_out]
        logit = self.bias[opening] + dots
        self.dispersion = measure_dispersion(logit, time, uncertainty)
