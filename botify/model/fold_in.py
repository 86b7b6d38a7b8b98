"""The item side of a published ALS model, and a listener's factor solved from it and what was heard so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from looplib.arrays import Float32Array, FloatArray


class Parameters(msgspec.Struct):
    """The hyperparameters of the fit, as `recsys.models.normal_equations` defines them."""

    regularization: float
    alpha: float
    unobserved_weight: float = 1.0
    nu: float = 0.0
    spark: bool = False
    skip_weight: float = 0.0


class Feedback(msgspec.Struct):
    """How listening became what the fit was given, as in the search's configuration."""

    organic: bool = True
    min_time: float = 0.0
    skip_time: float = 0.0
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class FoldIn:
    """Factors of the tracks, by number, and their Gram matrix."""

    items: Float32Array  # (tracks, factors); 0 where there are none
    known: int  # tracks with factors
    gram: FloatArray  # (factors, factors)
    parameters: Parameters
    feedback: Feedback
    unit: float  # what the fit was given for a track heard to its end: 1 for events, else an interaction's mean weight

    def solve(self, tracks: Sequence[int], times: Sequence[float]) -> FloatArray | None:
        """Solve a listener's factor, shape (factors,), as the fit does with what a session holds.

        Args:
            tracks: Heard, in order; the first one is organic.
            times: Share heard of each, 0..1.

        Returns:
            The solution of `recsys.models.normal_equations` for this row; None where nothing counts as heard.
        """
        heard, skips = self._interactions(tracks, times)
        if not heard:
            return None
        parameters, values = self.parameters, np.array(list(heard.values()))
        weight, factors = parameters.unobserved_weight, self.items[list(heard)].astype(np.float64)
        scale = len(heard) if parameters.spark else (len(heard) + weight * self.known) ** parameters.nu
        left = weight * self.gram + (factors.T * (parameters.alpha * values)) @ factors
        left[np.diag_indices_from(left)] += parameters.regularization * scale
        if skips:
            skipped = self.items[list(skips)].astype(np.float64)
            left += (skipped.T * (parameters.skip_weight * np.array(list(skips.values())))) @ skipped
        return np.linalg.solve(left, factors.T @ (weight + parameters.alpha * values)).astype(np.float64)

    def _interactions(self, tracks: Sequence[int], times: Sequence[float]) -> tuple[dict[int, float], dict[int, int]]:
        """Return the value of each track heard, and how often each other one was skipped, where skips count."""
        feedback = self.feedback
        heard: dict[int, float] = {}
        skips: dict[int, int] = {}
        for position, (track, time) in enumerate(zip(tracks, times, strict=True)):
            value = self.unit * time
            if position and time < feedback.skip_time:
                skips[track] = skips.get(track, 0) + 1
            elif time > 0 and value >= feedback.min_time and (position or feedback.organic):
                heard[track] = heard.get(track, 0.0) + value
        if feedback.scale == "log":
            heard = {track: float(np.log1p(time)) for track, time in heard.items()}
        skips = {track: count for track, count in skips.items() if track not in heard}
        return heard, skips if self.parameters.skip_weight else {}
