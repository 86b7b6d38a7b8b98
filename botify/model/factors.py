"""The item side of a published ALS model, and a listener's factor by it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from botify.model.arrays import Rows, by_number, read_arrays, read_rows
from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.manifest import Feedback, Version
from botify.model.model import Part
from looplib.als import AlsConfig, solve_row
from looplib.arrays import Float32Array, FloatArray


@dataclass(frozen=True)
class History:
    """What the fit was given of each listener: tracks, and how much of them was heard."""

    heard: Rows  # of each listener, before a logarithm
    filter_seen: bool  # the export leaves out what a listener has heard

    def of(self, user: int) -> dict[int, float]:
        """Return the values of a listener by track; nothing of one who is not known."""
        tracks, values = self.heard.of(user)
        return dict(zip(tracks.tolist(), values.tolist(), strict=True))


@dataclass
class ItemFactors:
    """Solves listeners' factors by a model's tracks."""

    items: Float32Array  # factors of the tracks, by number, 0 where there are none
    known: int  # tracks that somebody has heard
    params: AlsConfig
    feedback: Feedback
    # what the fit was given for a track heard to its end; an interaction's mean weight
    unit: float = 1.0

    def __post_init__(self) -> None:
        """Prepare what all listeners share."""
        self._gram = (self.items.T @ self.items).astype(np.float64)
        lengths = np.linalg.norm(self.items, axis=1)
        self._lengths = np.where(lengths > 0, lengths, 1).astype(np.float32)

    def closeness(self, tracks: Sequence[int], weights: FloatArray) -> Float32Array:
        """Return the weighted sum of cosines with some tracks, of each track by number."""
        numbers = np.array(tracks)
        is_known = numbers != UNKNOWN_TRACK
        known = numbers[is_known]
        session = weights[is_known] / self._lengths[known] @ self.items[known]
        products = self.items @ session.astype(np.float32)
        closeness: Float32Array = products / self._lengths
        return closeness

    def solve(
        self,
        tracks: Sequence[int],
        times: Sequence[float],
        known: Mapping[int, float] | None = None,
    ) -> FloatArray | None:
        """Solve a listener's factor, shape (factors,), by the history and the session so far.

        Args:
            tracks: Heard, in order.
            times: Share heard of each, 0..1.
            known: The listener's values in the history.

        Returns:
            The solution of `looplib.als` for this row; None where nothing counts as heard.
        """
        heard = dict(known or {})
        for track, time in zip(tracks, times, strict=True):
            value = self.unit * time
            is_heard = time > 0 and value >= self.feedback.min_time
            if is_heard and track != UNKNOWN_TRACK:
                heard[track] = heard.get(track, 0.0) + value
        if self.feedback.scale == "log":
            heard = {track: math.log1p(time) for track, time in heard.items()}
        if not heard:
            return None
        return solve_row(
            self._gram,
            self.items[list(heard)].astype(np.float64),
            np.array(list(heard.values())),
            self.known,
            self.params,
        )


def _load_factors(version: Version) -> ItemFactors | None:
    manifest, catalogue = version.manifest, version.catalogue
    try:
        params = AlsConfig.read(manifest.factors or manifest.parameters)
    except ValueError:
        return None
    shapes = {"tracks": "track tracks", "item_factors": "f tracks factors"}
    arrays = read_arrays(version, FACTORS.file, shapes)
    factors = by_number(arrays["tracks"], arrays["item_factors"], catalogue)
    unit = manifest.data.mean_weight or 1.0
    known = manifest.data.fitted_tracks or len(arrays["tracks"])
    return ItemFactors(factors, known, params, manifest.feedback, unit)


def _load_history(version: Version) -> History:
    shapes = {
        "users": "user listeners",
        "counts": "i listeners",
        "tracks": "track tracks",
        "heard": "i pairs",
        "values": "f pairs",
    }
    arrays = read_arrays(version, HISTORY.file, shapes)
    if version.manifest.feedback.scale == "log":
        arrays["values"] = np.expm1(arrays["values"])
    path = version.folder / HISTORY.file
    heard = read_rows(path, arrays, "users", ("counts", "heard", "values"))
    return History(heard, version.manifest.lists.filter_seen)


FACTORS = Part("factors of an ALS model", "factors.npz", _load_factors)
HISTORY = Part("history.npz", "history.npz", _load_history)
