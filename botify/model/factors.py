"""The item factors of a published ALS model, and a listener's factor by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from botify.model.arrays import read_arrays, read_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from botify.model.tracklists import TrackLists
from looplib.als import SCALES, AlsConfig, solve_row
from looplib.arrays import NO_TRACK, Float32Array, FloatArray

_MOST_FACTORS = 4096  # the memory grows with their square


@dataclass
class ItemFactors:
    """Solves listeners' factors by a model's tracks."""

    items: Float32Array  # factors of the tracks, by number; 0 if a track has none
    fitted_tracks: int  # tracks that any listener has heard
    params: AlsConfig
    min_time: float = 0.0  # less than this does not count as heard
    scale: str = "linear"  # scale of the fitted values, a key of `SCALES`
    # value of a track heard to its end in the fit: an interaction's mean weight
    unit: float = 1.0
    filter_seen: bool = False  # the export leaves out tracks that a listener has heard

    def __post_init__(self) -> None:
        """Compute the Gram matrix, which all listeners share."""
        self._scaled = SCALES[self.scale]
        self._gram = (self.items.T @ self.items).astype(np.float64)
        if not np.isfinite(self._gram).all():
            raise ValueError("item_factors: their products are too large")

    def solve(
        self,
        tracks: Sequence[int],
        times: Sequence[float],
        history: Mapping[int, float] | None = None,
    ) -> FloatArray | None:
        """Solve a listener's factor, shape (factors,), by the history and the session so far.

        Args:
            tracks: Heard, in order.
            times: Share heard of each, 0..1.
            history: The listener's values in the history, by track.

        Returns:
            The solution of `looplib.als` for this row; None if nothing counts as heard.
        """
        heard = dict(history or {})
        for track, time in zip(tracks, times, strict=True):
            value = self.unit * time
            if time > 0 and value >= self.min_time and track != NO_TRACK:
                heard[track] = heard.get(track, 0.0) + value
        if not heard:
            return None
        values = self._scaled(np.array(list(heard.values()))).astype(np.float64)
        return solve_row(
            self._gram,
            self.items[list(heard)].astype(np.float64),
            values,
            self.fitted_tracks,
            self.params,
        )


def _load_factors(version: Version) -> ItemFactors | None:
    manifest = version.manifest
    try:
        params = AlsConfig.read(manifest.factors or manifest.parameters)
    except ValueError:
        return None
    shapes = {"tracks": "track tracks", "item_factors": "f tracks factors"}
    arrays = read_arrays(version, FACTORS.file, shapes)
    tracks, factors = arrays["tracks"], arrays["item_factors"]
    if factors.shape[1] > _MOST_FACTORS:
        raise ValueError(
            f"item_factors has {factors.shape[1]} columns; allowed are {_MOST_FACTORS}"
        )
    is_in_catalogue = tracks != NO_TRACK
    items = np.zeros((len(version.catalogue), factors.shape[1]), np.float32)
    items[tracks[is_in_catalogue]] = factors[is_in_catalogue]
    data, feedback = manifest.data, manifest.feedback
    return ItemFactors(
        items,
        fitted_tracks=int(data.get("fitted_tracks") or len(tracks)),
        params=params,
        min_time=float(feedback.get("min_time", 0.0)),
        scale=feedback.get("scale", "linear"),
        unit=float(data.get("mean_weight") or 1.0),
        filter_seen=bool(manifest.lists.get("filter_seen")),
    )


def _load_history(version: Version) -> TrackLists:
    """Load how much each listener has heard of tracks, before any logarithm.

    An export with the scale `binary` has 1 for each of them.
    """
    shapes = {
        "users": "user listeners",
        "counts": "i listeners",
        "tracks": "track tracks",
        "heard": "i pairs",
        "values": "f pairs",
    }
    arrays = read_arrays(version, HISTORY.file, shapes)
    if version.manifest.feedback.get("scale") == "log":
        arrays["values"] = np.expm1(arrays["values"])
    return read_lists(arrays, "users", "counts", "heard", "values")


FACTORS = Artifact("factors of an ALS model", "factors.npz", _load_factors)
HISTORY = Artifact("history.npz", "history.npz", _load_history)
