"""The session model of a version: what a session follows, given its listener and opening."""

from dataclasses import dataclass
from io import BufferedReader

import numpy as np

from botify.errors import ModelError
from botify.model.arrays import by_number, check_ids, find_id, read_arrays
from botify.model.catalogue import UNKNOWN_TRACK, Catalogue
from botify.model.manifest import Version
from botify.model.model import Part
from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.session_model_file import ARRAYS, FILE_NAME, FORMAT

_CANDIDATES = 5  # interests that a session may follow beside the likeliest one


@dataclass(frozen=True)
class Expected:
    """What a session may follow: some vectors, each with its covariance; k factors."""

    log_odds: FloatArray  # of each vector, up to a constant, shape (vectors,)
    means: Float32Array  # shape (vectors, k)
    # of the known interests, which stand first: along each axis, shape (known, k)
    variances: FloatArray
    # of the last vector, where it is a new interest, shape (k, k)
    covariance: Float32Array | None
    # chance of each vector when the session's is drawn anew, shape (vectors,)
    anew: FloatArray

    def spread(self, design: FloatArray) -> FloatArray:
        """Multiply features (n, k) with the covariance of each vector, shape (vectors, n, k)."""
        known: FloatArray = design * self.variances[:, None]
        if self.covariance is None:
            return known
        return np.concatenate([known, (design @ self.covariance)[None]])


@dataclass(frozen=True)
class SessionModel:
    """What `looplib.session_model_file` describes, by track number; k factors."""

    tracks: Float32Array  # (tracks, k), 0 where nothing is known of a track
    by_factor: Float32Array  # (k, tracks), by which all tracks are scored faster
    owners: IntArray  # (owners,), the known listeners, ascending
    openings: IntArray  # (openings,), position of the owner * tracks + organic track
    interest_of: IntArray  # (openings,), the interest that each opening leads to
    # (owners + 1,): owner i has own_interests[own_starts[i]:own_starts[i + 1]]
    own_starts: IntArray
    own_interests: IntArray  # those with most openings first
    opened: IntArray  # (interests,), how many openings lead to each
    interests: Float32Array  # (interests, k)
    evidence: Float32Array  # (interests,)
    odds: Float32Array  # (interests,)
    information: Float32Array  # (k,)
    new_map: Float32Array  # (k, k)
    new_covariance: Float32Array  # (k, k)
    new_precision: Float32Array  # (k, k), its inverse
    dispersion: float
    artist_fatigue: float
    tiredness: float
    interest_change: float

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session, given its listener and its organic track alone.

        An opening that is known leads to its interest. Any other may follow one of the listener's
        interests, or a new one.
        """
        owner = find_id(self.owners, listener)
        if owner is None:
            return self._unknown_opening(organic, self.own_interests[:0])
        own = self.own_interests[self.own_starts[owner] : self.own_starts[owner + 1]]
        opening = find_id(self.openings, owner * len(self.tracks) + organic)
        if opening is None or organic == UNKNOWN_TRACK:
            return self._unknown_opening(organic, own)
        return self._known_opening(int(self.interest_of[opening]), own)

    def _known_opening(self, interest: int, own: IntArray) -> Expected:
        followed = np.array([interest])
        if self.interest_change:
            others = own[own != interest][:_CANDIDATES]
            followed = np.append(followed, others)
        log_odds = np.full(len(followed), -np.inf)
        log_odds[0] = 0
        opened = self.opened[followed]
        return Expected(
            log_odds,
            self.interests[followed],
            self._variances(followed),
            None,
            opened / opened.sum(),
        )

    def _unknown_opening(self, organic: int, own: IntArray) -> Expected:
        track = self.tracks[max(organic, 0)] * (organic != UNKNOWN_TRACK)
        new = track @ self.new_map
        off = self.interests[own] - new
        distances = np.einsum("ij,ij->i", off @ self.new_precision, off)
        log_odds = self.odds[own] - distances / 2
        likeliest = np.argsort(-log_odds, kind="stable")[:_CANDIDATES]
        followed = own[likeliest]
        opened = np.append(self.opened[followed], 1)
        return Expected(
            np.append(log_odds[likeliest], 0.0),
            np.concatenate([self.interests[followed], new[None]]),
            self._variances(followed),
            self.new_covariance,
            opened / opened.sum(),
        )

    def _variances(self, interests: IntArray) -> FloatArray:
        precision = 1 + self.evidence[interests, None] * self.information
        variances: FloatArray = 1 / precision
        return variances


def read_session_model(
    file: BufferedReader, catalogue: Catalogue, *, may_lack: bool = False
) -> SessionModel:
    """Read a session model for a catalogue, which may lack some of its tracks if that is said.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays, lengths = read_arrays(
        file, ARRAYS, "a session model", catalogue, may_lack=may_lack
    )
    interests, interest_of = lengths["interests"], arrays["interest_of"]
    check_ids(file.name, "interest_of", interest_of, interests)
    owners, owner = np.unique(arrays["listeners"], return_inverse=True)
    organics = arrays["organics"]
    openings = owner * len(catalogue) + organics
    is_unknown = organics == UNKNOWN_TRACK
    openings[is_unknown] = -np.arange(1, is_unknown.sum() + 1)  # never found
    order = np.argsort(openings)
    openings, interest_of = openings[order], interest_of[order]
    if not (np.diff(openings) > 0).all():
        raise ModelError(f"{file.name}: openings repeat")
    opened = np.bincount(interest_of, minlength=interests)
    owner_of = np.full(interests, -1)  # of each interest
    owner_of[interest_of] = owner[order]
    own_interests = np.lexsort((-opened, owner_of))
    own_starts = np.searchsorted(owner_of[own_interests], np.arange(len(owners) + 1))
    tracks = by_number(arrays["tracks"], arrays["track_factors"], catalogue)
    new_covariance = arrays["new_covariance"].astype(np.float64)
    try:
        new_precision = np.linalg.inv(new_covariance)
    except np.linalg.LinAlgError:
        raise ModelError(f"{file.name}: new_covariance has no inverse") from None
    return SessionModel(
        tracks=tracks,
        by_factor=np.ascontiguousarray(tracks.T),
        owners=owners,
        openings=openings,
        interest_of=interest_of,
        own_starts=own_starts,
        own_interests=own_interests,
        opened=opened,
        interests=arrays["interests"],
        evidence=arrays["evidence"].astype(np.float32),
        odds=arrays["odds"],
        information=arrays["information"],
        new_map=arrays["new_map"],
        new_covariance=arrays["new_covariance"],
        new_precision=new_precision.astype(np.float32),
        dispersion=float(arrays["dispersion"]),
        artist_fatigue=float(arrays["artist_fatigue"]),
        tiredness=float(arrays["tiredness"]),
        interest_change=float(arrays["interest_change"]),
    )


def _load(version: Version) -> SessionModel | None:
    if version.has("context.npz"):
        raise ModelError(
            f"{version.folder}: context.npz was renamed to {FILE_NAME}; export again"
        )
    if not version.has(FILE_NAME):
        return None
    found = (version.manifest.session_model or {}).get("format", 1)
    if found != FORMAT:
        raise ModelError(
            f"{version.folder / FILE_NAME}: format {found} found, this service reads {FORMAT}; "
            "export with this release again"
        )
    with version.open(FILE_NAME) as file:
        return read_session_model(file, version.catalogue, may_lack=version.may_lack)


SESSION_MODEL = Part(FILE_NAME, _load)
