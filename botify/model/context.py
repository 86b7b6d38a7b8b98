"""The context model of a published version: what is expected of a track, given the listener and the organic track."""

from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from looplib.arrays import Float32Array, IntArray

# The openings by listener and organic track, and the vectors of tracks.
_TABLES = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
}
# Attributes of the same name below.
_NUMBERS = {
    "interests": "f interests sides",
    "evidence": "i interests",
    "interest_precision": "f sides sides",
    "information": "f sides sides",
    "newcomer_map": "f sides sides",
    "newcomer_precision": "f sides sides",
    "noise": "f",
    "artist_fatigue": "f",
    "resolution": "f",
}


@dataclass(frozen=True)
class Context:
    """As `recsys.export` wrote it, by track id; k factors, the last of k + 1 belongs to the constant 1."""

    tracks: Float32Array  # (tracks, k), the vector of each track; 0 where nothing is known of it
    listeners: IntArray  # (listeners,), the known ones, ascending
    starts: IntArray  # (listeners + 1,): the openings of listener i are starts[i]:starts[i + 1]
    organics: IntArray  # (openings,), the organic track of each opening, ascending for each listener
    interest_of: IntArray  # (openings,), the interest that each opening leads to
    interests: Float32Array  # (interests, k + 1), the vector of each interest
    evidence: Float32Array  # (interests,), the number of responses behind each
    interest_precision: Float32Array  # (k + 1, k + 1), inverse covariance of an interest before any response
    information: Float32Array  # (k + 1, k + 1), what a response adds to that on average
    newcomer_map: Float32Array  # (k + 1, k + 1): (track, 1) @ map is the expected vector of an unknown interest
    newcomer_precision: Float32Array  # (k + 1, k + 1), inverse covariance of an unknown interest about that vector
    noise: float  # variance of a logit about the model
    artist_fatigue: float  # factor on the time of a track for each earlier track of its artist, 0..1
    resolution: float  # time is logged in steps of this

    def prior(self, listener: int, organic: int) -> tuple[Float32Array, Float32Array]:
        """Return mean (k + 1,) and precision (k + 1, k + 1) of a session's interest, given its organic track alone.

        An opening that is known leads to its interest. With an unknown organic track a known listener gets the one
        of their interests that points most nearly where the track does, and a new listener what is usual for the track.
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


def read_context(file: BufferedReader, catalogue: Catalogue, *, text_users: bool) -> Context:
    """Read a context model for a catalogue.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    path = file.name
    arrays, lengths = read_arrays(file, {**_TABLES, **_NUMBERS}, "a context model", catalogue)
    if lengths["sides"] != lengths["factors"] + 1:
        raise ModelError(f"{path}: {lengths['factors']} factors need interests of one more, not {lengths['sides']}")
    check_ids(path, "interest_of", arrays["interest_of"], lengths["interests"])
    if text_users:  # which are sorted as text
        order = np.lexsort((arrays["organics"], arrays["listeners"]))
        arrays |= {name: arrays[name][order] for name in ("listeners", "organics", "interest_of")}
    owner, organic = arrays["listeners"], arrays["organics"]
    is_after = (owner[1:] > owner[:-1]) | ((owner[1:] == owner[:-1]) & (organic[1:] > organic[:-1]))
    if not is_after.all():
        raise ModelError(f"{path}: openings are not sorted or repeat (at {int(np.argmin(is_after)) + 1})")
    listeners, starts = np.unique(owner, return_index=True)
    vectors = np.zeros((len(catalogue), lengths["factors"]), dtype=np.float32)
    vectors[arrays["tracks"]] = arrays["track_factors"]
    numbers: dict[str, Any] = {
        name: float(arrays[name]) if shape == "f" else arrays[name].astype(np.float32)
        for name, shape in _NUMBERS.items()
    }
    return Context(
        tracks=vectors,
        listeners=listeners,
        starts=np.append(starts, len(organic)),
        organics=organic,
        interest_of=arrays["interest_of"].astype(np.int64),
        **numbers,
    )
