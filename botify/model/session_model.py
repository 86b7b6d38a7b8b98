"""The session model of a published version: what is expected of a track, given the listener and the organic track."""

from dataclasses import dataclass
from io import BufferedReader
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

import numpy as np

from botify.errors import ModelError
from botify.model.arrays import Arrays, check_ids, read_arrays
from botify.model.catalogue import Catalogue
from looplib.arrays import Float32Array, FloatArray, IntArray

FORMAT = 2  # of the file, by its manifest
# likeliest interests that a session with a new organic track may follow
_CANDIDATES = 5

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
    # of a new interest, for which what the service needs is worked out once
    "odds": "f interests",
    "own_map": "f factors factors",
    "constant_axis": "f factors",
}


_DEFAULTS = {
    "tiredness": 1.0,
    "interest_change": 0.0,
}  # of exports that know of neither


class Expected(NamedTuple):
    """What is expected of a session's interest: one of some vectors, each with its covariance; k factors."""

    log_odds: FloatArray  # of each vector, up to a constant, shape (vectors,)
    means: Float32Array  # shape (vectors, k)
    # of the known interests, which stand first: along each axis, shape (known, k)
    variances: FloatArray
    # of the last vector, where it is a new interest, shape (k, k)
    covariance: Float32Array | None
    # chance of each vector when it is drawn anew, shape (vectors,); None: it never is
    anew: FloatArray | None

    def spread(self, design: FloatArray) -> FloatArray:
        """Multiply features (n, k) with the covariance of each vector, shape (vectors, n, k)."""
        of_known: FloatArray = design * self.variances[:, None]
        if self.covariance is None:
            return of_known
        return np.concatenate([of_known, (design @ self.covariance)[None]])


@dataclass(frozen=True)
class SessionModel:
    """As `recsys.export` wrote it, by track id; k factors. What is annotated is in the file, by kind and axes."""

    tracks: Float32Array  # (tracks, k), the vector of each track; 0 where nothing is known of it
    # (k, tracks), the same the other way round, by which all tracks are scored faster
    by_factor: Float32Array
    starts: IntArray  # (owners + 1,): the openings of listener i are starts[i]:starts[i + 1]
    # (openings,), the organic track of each opening, ascending for each listener
    organics: IntArray
    interest_of: IntArray  # (openings,), the interest that each opening leads to
    # (owners + 1,): listener i has own_interests[own_starts[i]:own_starts[i + 1]]
    own_starts: IntArray
    own_interests: IntArray  # those with most openings first
    openings: IntArray  # (interests,), how many lead to each
    owners: IntArray  # (owners,), the known listeners, ascending
    # (owners,), their expected vector is so many times `own_maps` of the organic track
    scale: Float32Array
    constant: Float32Array  # (owners,), plus so many times `constant_axes`
    # (interests,) log odds against a new one, less what depends on the new one's expected vector x
    odds: Float32Array
    # (2, k, k), the first gives x, the second P x, where P is the inverse of `own_covariance`
    own_maps: Float32Array
    constant_axes: Float32Array  # (2, k), the same of `constant_axis`
    interests: Annotated[
        Float32Array, "f interests factors"
    ]  # the vector of each interest
    evidence: Annotated[
        Float32Array, "i interests"
    ]  # the number of responses behind each
    # precision that a response adds to an interest's of 1
    information: Annotated[Float32Array, "f factors"]
    # track @ map is expected of an unknown listener
    newcomer_map: Annotated[Float32Array, "f factors factors"]
    newcomer_covariance: Annotated[Float32Array, "f factors factors"]  # about that
    # of a known listener's vectors about the expected
    own_covariance: Annotated[Float32Array, "f factors factors"]
    dispersion: Annotated[
        float, "f"
    ]  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist, 0..1
    artist_fatigue: Annotated[float, "f"]
    resolution: Annotated[float, "f"]  # time is logged in steps of this
    # factor on the time of a track for each recommended track before it, 0..1
    tiredness: Annotated[float, "f"]
    # chance before each recommended track that the interest is drawn anew
    interest_change: Annotated[float, "f"]

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session's interest, given its organic track alone.

        An opening that is known leads to its interest. With an unknown organic track, a known
        listener follows one of their interests or a new one, and a new listener what is usual for
        the track.
        """
        at = int(self.owners.searchsorted(listener))
        if at == len(self.owners) or self.owners[at] != listener:
            usual = self.tracks[organic] @ self.newcomer_map
            return Expected(
                np.zeros(1),
                usual[None],
                np.empty((0, len(usual))),
                self.newcomer_covariance,
                None,
            )
        first, end = self.starts[at : at + 2].tolist()
        opening = first + int(self.organics[first:end].searchsorted(organic))
        if opening < end and self.organics[opening] == organic:
            return self._known(at, int(self.interest_of[opening]))
        new, mapped = (
            self.scale[at] * (self.tracks[organic] @ self.own_maps)
            + self.constant[at] * self.constant_axes
        )
        own = self.own_interests[slice(*self.own_starts[at : at + 2].tolist())]
        known = self.interests[own]
        log_odds = self.odds[own] + known @ mapped - new @ mapped / 2
        some = np.argsort(-log_odds, kind="stable")[:_CANDIDATES]
        own = own[some]
        means, odds = np.concatenate([known[some], new[None]]), np.zeros(len(own) + 1)
        odds[:-1] = log_odds[some]
        return Expected(
            odds,
            means,
            self._variances(own),
            self.own_covariance,
            self._anew(own, len(means)),
        )

    def _known(self, owner: int, interest: int) -> Expected:
        """Return what is expected of a known opening's session: its interest, which may change to others."""
        followed = np.array([interest])
        if self.interest_change:
            own = self.own_interests[
                self.own_starts[owner] : self.own_starts[owner + 1]
            ][: _CANDIDATES + 1]
            followed = np.append(interest, own[own != interest][:_CANDIDATES])
        log_odds = np.full(len(followed), -np.inf)
        log_odds[0] = 0
        anew = self._anew(followed, len(followed))
        return Expected(
            log_odds, self.interests[followed], self._variances(followed), None, anew
        )

    def _anew(self, interests: IntArray, vectors: int) -> FloatArray | None:
        """Return the chance of each vector when one is drawn anew: interests by their openings, a new one as by one."""
        if not self.interest_change:
            return None
        chance = np.ones(vectors)
        chance[: len(interests)] = self.openings[interests]
        chance /= chance.sum()
        return chance

    def _variances(self, interests: IntArray) -> FloatArray:
        variances: FloatArray = 1 / (
            1 + self.evidence[interests, None] * self.information
        )
        return variances


_HINTS = get_type_hints(SessionModel, include_extras=True)
_NUMBERS = {
    name: hint.__metadata__[0]
    for name, hint in _HINTS.items()
    if get_origin(hint) is Annotated
}


def read_session_model(
    file: BufferedReader, catalogue: Catalogue, *, text_users: bool
) -> SessionModel:
    """Read a session model for a catalogue.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    path = file.name
    arrays, lengths = read_arrays(
        file, {**_TABLES, **_NUMBERS}, "a session model", catalogue, _DEFAULTS
    )
    check_ids(path, "interest_of", arrays["interest_of"], lengths["interests"])
    if text_users:  # which are sorted as text
        order = np.lexsort((arrays["organics"], arrays["listeners"]))
        arrays |= {
            name: arrays[name][order]
            for name in ("listeners", "organics", "interest_of")
        }
    owner, organic = arrays["listeners"], arrays["organics"]
    is_after = (owner[1:] > owner[:-1]) | (
        (owner[1:] == owner[:-1]) & (organic[1:] > organic[:-1])
    )
    if not is_after.all():
        raise ModelError(
            f"{path}: openings are not sorted or repeat (at {int(np.argmin(is_after)) + 1})"
        )
    owners, starts = np.unique(owner, return_index=True)
    by_id = np.argsort(arrays["owners"], kind="stable")
    if not np.array_equal(owners, arrays["owners"][by_id]):
        raise ModelError(
            f"{path}: owners are not the {len(owners)} listeners of the openings"
        )
    vectors = np.zeros((len(catalogue), lengths["factors"]), dtype=np.float32)
    vectors[arrays["tracks"]] = arrays["track_factors"]
    numbers: dict[str, Any] = {
        name: float(arrays[name]) if shape == "f" else arrays[name].astype(np.float32)
        for name, shape in _NUMBERS.items()
    }
    interest_of = arrays["interest_of"].astype(np.int64)
    pairs = np.unique(
        np.stack([np.searchsorted(owners, owner), interest_of], axis=1), axis=0
    )
    openings = np.bincount(interest_of, minlength=lengths["interests"])
    pairs = pairs[np.lexsort((-openings[pairs[:, 1]], pairs[:, 0]))]
    return SessionModel(
        tracks=vectors,
        by_factor=np.ascontiguousarray(vectors.T),
        starts=np.append(starts, len(organic)),
        organics=organic,
        interest_of=interest_of,
        own_starts=np.searchsorted(pairs[:, 0], np.arange(len(owners) + 1)),
        own_interests=pairs[:, 1].copy(),
        openings=openings,
        owners=owners,
        scale=arrays["scale"][by_id],
        constant=arrays["constant"][by_id],
        **_of_new_interests(path, arrays),
        **numbers,
    )


def _of_new_interests(path: str, arrays: Arrays) -> dict[str, Any]:
    """Work out what is the same for all sessions that may follow a new interest."""
    names = ("own_covariance", "own_map", "constant_axis", "interests")
    covariance, own_map, axis, interests = (
        arrays[name].astype(np.float64) for name in names
    )
    try:
        precision = np.linalg.inv(covariance)
    except np.linalg.LinAlgError:
        raise ModelError(f"{path}: own_covariance has no inverse") from None
    found = {
        "odds": arrays["odds"]
        - np.einsum("ij,ij->i", interests @ precision, interests) / 2,
        "own_maps": np.stack([own_map, own_map @ precision]),
        "constant_axes": np.stack([axis, axis @ precision]),
    }
    return {name: values.astype(np.float32) for name, values in found.items()}
