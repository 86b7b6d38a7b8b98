"""The context model of a published version: what is expected of a track, given the listener and the organic track."""

from dataclasses import dataclass
from io import BufferedReader
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from looplib.arrays import Float32Array, FloatArray, IntArray

FORMAT = 2  # of the file, by its manifest
_CANDIDATES = 5  # likeliest interests that a session with a new organic track may follow

# The openings by listener and organic track, and the vectors of tracks.
_TABLES = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
    "owners": "user owners",
    "scale": "f owners",
    "constant": "f owners",
}


class Expected(NamedTuple):
    """What is expected of a session's interest: one of some vectors, each with its covariance; k factors."""

    log_odds: FloatArray  # of each vector, up to a constant, shape (vectors,)
    means: Float32Array  # shape (vectors, k)
    variances: FloatArray  # of the known interests, which stand first: along each axis, shape (known, k)
    covariance: Float32Array | None  # of the last vector, where it is a new interest, shape (k, k)

    def spread(self, design: FloatArray) -> FloatArray:
        """Multiply features (n, k) with the covariance of each vector, shape (vectors, n, k)."""
        of_known: FloatArray = design * self.variances[:, None]
        if self.covariance is None:
            return of_known
        return np.concatenate([of_known, (design @ self.covariance)[None]])


@dataclass(frozen=True)
class Context:
    """As `recsys.export` wrote it, by track id; k factors. What is annotated is in the file, by kind and axes."""

    tracks: Float32Array  # (tracks, k), the vector of each track; 0 where nothing is known of it
    starts: IntArray  # (owners + 1,): the openings of listener i are starts[i]:starts[i + 1]
    organics: IntArray  # (openings,), the organic track of each opening, ascending for each listener
    interest_of: IntArray  # (openings,), the interest that each opening leads to
    own_starts: IntArray  # (owners + 1,): listener i has own_interests[own_starts[i]:own_starts[i + 1]]
    own_interests: IntArray
    owners: IntArray  # (owners,), the known listeners, ascending
    scale: Float32Array  # (owners,), their expected vector is so many times `own_map` of the organic track
    constant: Float32Array  # (owners,), plus so many times `constant_axis`
    own_precision: FloatArray  # (k, k), the inverse of `own_covariance`
    interests: Annotated[Float32Array, "f interests factors"]  # the vector of each interest
    evidence: Annotated[Float32Array, "i interests"]  # the number of responses behind each
    odds: Annotated[Float32Array, "f interests"]  # log odds against a new interest, before the distance to the expected
    information: Annotated[Float32Array, "f factors"]  # precision that a response adds to an interest's of 1
    constant_axis: Annotated[Float32Array, "f factors"]
    newcomer_map: Annotated[Float32Array, "f factors factors"]  # track @ map is expected of an unknown listener
    newcomer_covariance: Annotated[Float32Array, "f factors factors"]  # about that
    own_map: Annotated[Float32Array, "f factors factors"]  # the same without the constant
    own_covariance: Annotated[Float32Array, "f factors factors"]  # of a known listener's vectors about the expected
    dispersion: Annotated[float, "f"]  # variance of a share about its mean m, in units of m (1 - m)
    artist_fatigue: Annotated[float, "f"]  # factor on the time of a track for each earlier track of its artist, 0..1
    resolution: Annotated[float, "f"]  # time is logged in steps of this

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session's interest, given its organic track alone.

        An opening that is known leads to its interest. With an unknown organic track, a known listener follows one of
        their interests or a new one, and a new listener what is usual for the track.
        """
        at = int(self.owners.searchsorted(listener))
        if at == len(self.owners) or self.owners[at] != listener:
            usual = self.tracks[organic] @ self.newcomer_map
            return Expected(np.zeros(1), usual[None], np.empty((0, len(usual))), self.newcomer_covariance)
        first, end = self.starts[at : at + 2].tolist()
        opening = first + int(self.organics[first:end].searchsorted(organic))
        if opening < end and self.organics[opening] == organic:
            interest = self.interest_of[opening : opening + 1]
            return Expected(np.zeros(1), self.interests[interest], self._variances(interest), None)
        new = self.scale[at] * (self.tracks[organic] @ self.own_map) + self.constant[at] * self.constant_axis
        own = self.own_interests[slice(*self.own_starts[at : at + 2].tolist())]
        known = self.interests[own]
        distance = np.einsum("ij,ij->i", (known - new) @ self.own_precision, known - new)
        log_odds = self.odds[own] - distance / 2
        some = np.argsort(-log_odds, kind="stable")[:_CANDIDATES]
        means = np.vstack([known[some], new])
        return Expected(np.append(log_odds[some], 0), means, self._variances(own[some]), self.own_covariance)

    def _variances(self, interests: IntArray) -> FloatArray:
        variances: FloatArray = 1 / (1 + self.evidence[interests, None] * self.information)
        return variances


_HINTS = get_type_hints(Context, include_extras=True)
_NUMBERS = {name: hint.__metadata__[0] for name, hint in _HINTS.items() if get_origin(hint) is Annotated}


def read_context(file: BufferedReader, catalogue: Catalogue, *, text_users: bool) -> Context:
    """Read a context model for a catalogue.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    path = file.name
    arrays, lengths = read_arrays(file, {**_TABLES, **_NUMBERS}, "a context model", catalogue)
    check_ids(path, "interest_of", arrays["interest_of"], lengths["interests"])
    if text_users:  # which are sorted as text
        order = np.lexsort((arrays["organics"], arrays["listeners"]))
        arrays |= {name: arrays[name][order] for name in ("listeners", "organics", "interest_of")}
    owner, organic = arrays["listeners"], arrays["organics"]
    is_after = (owner[1:] > owner[:-1]) | ((owner[1:] == owner[:-1]) & (organic[1:] > organic[:-1]))
    if not is_after.all():
        raise ModelError(f"{path}: openings are not sorted or repeat (at {int(np.argmin(is_after)) + 1})")
    owners, starts = np.unique(owner, return_index=True)
    by_id = np.argsort(arrays["owners"], kind="stable")
    if not np.array_equal(owners, arrays["owners"][by_id]):
        raise ModelError(f"{path}: owners are not the {len(owners)} listeners of the openings")
    vectors = np.zeros((len(catalogue), lengths["factors"]), dtype=np.float32)
    vectors[arrays["tracks"]] = arrays["track_factors"]
    numbers: dict[str, Any] = {
        name: float(arrays[name]) if shape == "f" else arrays[name].astype(np.float32)
        for name, shape in _NUMBERS.items()
    }
    try:
        own_precision = np.linalg.inv(numbers["own_covariance"].astype(np.float64))
    except np.linalg.LinAlgError:
        raise ModelError(f"{path}: own_covariance has no inverse") from None
    interest_of = arrays["interest_of"].astype(np.int64)
    pairs = np.unique(np.stack([np.searchsorted(owners, owner), interest_of], axis=1), axis=0)
    return Context(
        tracks=vectors,
        starts=np.append(starts, len(organic)),
        organics=organic,
        interest_of=interest_of,
        own_starts=np.searchsorted(pairs[:, 0], np.arange(len(owners) + 1)),
        own_interests=pairs[:, 1].copy(),
        owners=owners,
        scale=arrays["scale"][by_id],
        constant=arrays["constant"][by_id],
        own_precision=own_precision,
        **numbers,
    )
