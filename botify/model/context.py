"""The context model of a published version: what is expected of a track, given the listener and the organic track."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from botify.errors import ModelError
from botify.model.arrays import read_arrays
from looplib.arrays import Float32Array, IntArray

# What the file holds: the kind of number, and the shape in names of lengths.
_SQUARE = ("f", ("sides", "sides"))
_SCALAR: tuple[str, tuple[str, ...]] = ("f", ())
_SHAPES = {
    "tracks": ("i", ("tracks",)),
    "track_factors": ("f", ("tracks", "factors")),
    "listeners": ("i", ("openings",)),
    "organics": ("i", ("openings",)),
    "interest_of": ("i", ("openings",)),
    "interests": ("f", ("interests", "sides")),
    "evidence": ("i", ("interests",)),
    "interest_precision": _SQUARE,
    "information": _SQUARE,
    "newcomer_map": _SQUARE,
    "newcomer_precision": _SQUARE,
    "noise": _SCALAR,
    "artist_fatigue": _SCALAR,
    "resolution": _SCALAR,
}


@dataclass(frozen=True)
class Context:
    """As `recsys.export` wrote it, by track id; k factors, the last of k + 1 belongs to the constant 1.

    Attributes:
        tracks: Vector of each track, shape (tracks, k); 0 where nothing is known of it.
        listeners: IntArray of the known listeners, ascending, shape (listeners,).
        starts: The openings of listener i are starts[i]:starts[i + 1], shape (listeners + 1,).
        organics: The organic track of each opening, ascending for each listener, shape (openings,).
        interest_of: The interest that it opens, likewise.
        interests: Vector of each interest, shape (interests, k + 1).
        evidence: Responses behind each interest, shape (interests,).
        interest_precision: Inverse covariance of an interest before any response, (k + 1, k + 1).
        information: What a response adds to it on average, likewise.
        newcomer_map: Takes (track, 1) of an organic track to the expected vector of an unknown interest, likewise.
        newcomer_precision: Inverse covariance about that, likewise.
        noise: Variance of a logit about the model.
        artist_fatigue: Factor on the time of a track for each earlier track of its artist, 0..1.
        resolution: Time is logged in steps of this.
    """

    tracks: Float32Array
    listeners: IntArray
    starts: IntArray
    organics: IntArray
    interest_of: IntArray
    interests: Float32Array
    evidence: Float32Array
    interest_precision: Float32Array
    information: Float32Array
    newcomer_map: Float32Array
    newcomer_precision: Float32Array
    noise: float
    artist_fatigue: float
    resolution: float

    def prior(self, listener: int, organic: int) -> tuple[Float32Array, Float32Array]:
        """Mean (k + 1,) and precision (k + 1, k + 1) of a session's interest, given its organic track alone.

        The interest that the track has opened for the listener before; a new opening takes that of the listener's
        interests which points most nearly where the track does; a new listener gets what is usual for the track.
        """
        at = int(self.listeners.searchsorted(listener))
        usual = np.append(self.tracks[organic], np.float32(1)) @ self.newcomer_map
        if at == len(self.listeners) or self.listeners[at] != listener:
            return usual, self.newcomer_precision
        first, end = self.starts[at : at + 2].tolist()
        opening = first + int(self.organics[first:end].searchsorted(organic))
        if opening < end and self.organics[opening] == organic:
            return self._known(int(self.interest_of[opening]))
        own = np.unique(self.interest_of[first:end])
        directions = self.interests[own, :-1]
        nearest = np.argmax(directions @ usual[:-1] / (np.linalg.norm(directions, axis=1) + np.float32(1e-9)))
        return self._known(int(own[nearest]))

    def _known(self, interest: int) -> tuple[Float32Array, Float32Array]:
        return self.interests[interest], self.interest_precision + self.evidence[interest] * self.information


def read_context(path: Path, tracks: int) -> Context:
    """Reads a context model.

    Args:
        path: The file.
        tracks: Tracks of the catalogue.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(path, _SHAPES, "a context model")
    _check(path, arrays, tracks)
    listeners, starts = np.unique(arrays["listeners"], return_index=True)
    vectors = np.zeros((tracks, arrays["track_factors"].shape[1]), dtype=np.float32)
    vectors[arrays["tracks"]] = arrays["track_factors"]
    return Context(
        tracks=vectors,
        listeners=listeners,
        starts=np.append(starts, len(arrays["organics"])),
        organics=arrays["organics"],
        interest_of=arrays["interest_of"].astype(np.int64),
        interests=arrays["interests"].astype(np.float32),
        evidence=arrays["evidence"].astype(np.float32),
        interest_precision=arrays["interest_precision"].astype(np.float32),
        information=arrays["information"].astype(np.float32),
        newcomer_map=arrays["newcomer_map"].astype(np.float32),
        newcomer_precision=arrays["newcomer_precision"].astype(np.float32),
        noise=float(arrays["noise"]),
        artist_fatigue=float(arrays["artist_fatigue"]),
        resolution=float(arrays["resolution"]),
    )


def _check(path: Path, arrays: dict[str, npt.NDArray[Any]], tracks: int) -> None:
    lengths: dict[str, int] = {}
    for name, (kind, shape) in _SHAPES.items():
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != len(shape):
            raise ModelError(f"{path}: {name} is {array.dtype} {array.shape}, expected {kind} with {len(shape)} axes")
        for axis, length in zip(shape, array.shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                raise ModelError(f"{path}: {name} is {array.shape}, but there are {lengths[axis]} {axis}")
        if kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds NaN or infinite numbers")
    if lengths["sides"] != lengths["factors"] + 1:
        raise ModelError(f"{path}: {lengths['factors']} factors need interests of one more, not {lengths['sides']}")
    owner, organic = arrays["listeners"], arrays["organics"]
    is_after = (owner[1:] > owner[:-1]) | ((owner[1:] == owner[:-1]) & (organic[1:] > organic[:-1]))
    if not is_after.all():
        raise ModelError(f"{path}: openings are not sorted, or one stands twice (at {int(np.argmin(is_after)) + 1})")
    for name, limit in (("tracks", tracks), ("organics", tracks), ("interest_of", lengths["interests"])):
        ids = arrays[name]
        if len(ids) and not (ids.min() >= 0 and ids.max() < limit):
            raise ModelError(f"{path}: {name} has {ids.min()}..{ids.max()}; allowed is 0..{limit - 1}")
