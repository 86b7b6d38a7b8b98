"""Turn a fitted session model into the axes of the file that the service reads."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from looplib.arrays import Float32Array, FloatArray, Int32Array
from looplib.session_model import SessionModel
from recsys.session_model.likelihood import (
    find_decays,
    mean_and_slope,
    working_responses,
)
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import Vectors, estimate_precision, paired_dots
from recsys.session_model.training import Training


@dataclass(frozen=True)
class FittedSessionModel:
    """What `looplib.session_model` describes, in the indices of the responses."""

    track_factors: Float32Array
    interest_of: Int32Array
    interests: Float32Array
    evidence: Int32Array
    odds: Float32Array
    information: Float32Array
    new_map: Float32Array
    new_covariance: Float32Array
    dispersion: float
    artist_fatigue: float
    tiredness: float
    fading: float = 1.0  # held-out sessions choose it

    def indexed(self, responses: Responses) -> SessionModel:
        """Return the model as the service has it, with tracks numbered as in the responses."""
        arrays = {name: np.asarray(array) for name, array in asdict(self).items()}
        listeners = responses.users[responses.listener]
        organics = responses.organic.astype(np.int64)
        return SessionModel.make(arrays, listeners, organics, self.track_factors)


def track_means(means: Float32Array, model: FittedSessionModel) -> FittedSessionModel:
    """Return a model that expects the mean share of each track, whatever the session.

    A track has the vector (logit, 1), and every session follows (1, 0).
    """
    near = np.clip(means, 1e-4, 1 - 1e-4)
    logits = np.log(near / (1 - near))
    none = np.zeros(0, np.float32)
    return replace(
        model,
        track_factors=np.column_stack([logits, np.ones_like(logits)]),
        interest_of=np.zeros(0, np.int32),
        interests=np.zeros((0, 2), np.float32),
        evidence=np.zeros(0, np.int32),
        odds=none,
        information=np.zeros(2, np.float32),
        new_map=np.array([[0, 0], [1, 0]], np.float32),
        new_covariance=1e-6 * np.eye(2, dtype=np.float32),
        fading=1.0,
    )


def describe(
    training: Training,
    tracks: Vectors,
    interests: Vectors,
    precision: Float32Array,
    interest_of: Int32Array,
) -> FittedSessionModel:
    """Return the model of fitted vectors, in its axes.

    `precision` is that of the interests about what their organic tracks say. With P = L L' and L^-1
    information L^-T = Q diag(information) Q', an interest's vector x becomes A x, A = Q' L', and a
    track's A^-T v, so that their products stay.
    """
    features = tracks.with_constant()
    lower = np.linalg.cholesky(precision.astype(np.float64))
    average = _average_information(training, features, interests, interest_of)
    inner = np.linalg.solve(lower, np.linalg.solve(lower, average).T)
    information, axes = np.linalg.eigh((inner + inner.T) / 2)
    turn = axes.T @ lower.T
    track_factors = np.linalg.solve(turn.T, features.means.T).T
    turned = interests.means @ turn.T
    opened_by = track_factors[training.responses.organic]
    followed = turned[interest_of]
    new_map = np.linalg.lstsq(opened_by, followed, rcond=None)[0]
    errors = turn @ interests.covariance @ turn.T
    new_precision = estimate_precision(followed - opened_by @ new_map, errors)
    evidence = np.bincount(interest_of[training.opening], minlength=len(turned))
    fatigue, tiredness = _decays(training, features, interests, interest_of)
    return FittedSessionModel(
        track_factors=track_factors.astype(np.float32),
        interest_of=interest_of,
        interests=turned.astype(np.float32),
        evidence=evidence.astype(np.int32),
        odds=_odds(training, turned, interest_of, errors, new_precision),
        information=np.maximum(information, 0).astype(np.float32),
        new_map=new_map.astype(np.float32),
        new_covariance=np.linalg.inv(new_precision).astype(np.float32),
        dispersion=training.dispersion,
        artist_fatigue=fatigue,
        tiredness=tiredness,
    )


def _average_information(
    training: Training, features: Vectors, interests: Vectors, interest_of: Int32Array
) -> FloatArray:
    """Average w f f' over the responses, with the covariance of the features."""
    track = training.by_track.row
    interest = interest_of[training.opening]
    logit = paired_dots(
        interests.means, interest, features.means, track, training.threads
    )
    _, weights = working_responses(logit, training.time, training.dispersion)
    totals = np.bincount(track, weights, len(features.means))
    weight = totals / max(len(track), 1)
    weighted = features.means * weight[:, None]
    products = weighted.T @ features.means
    average: FloatArray = products + weight.sum() * features.covariance
    return average


def _odds(
    training: Training,
    interests: FloatArray,
    interest_of: Int32Array,
    errors: FloatArray,
    new_precision: Float32Array,
) -> Float32Array:
    """Return the log odds of each interest against a new one, at a new opening of its listener.

    The chance of a new interest is that of one met once (Good, "The population frequencies of
    species", 1953). A known interest x counts by its openings and, by Bayes' rule, by
    p(x | organic track) / p(x). Both are normal. The service, which knows the track, adds the term
    of the distance of x from what the organic track says.
    """
    listener = training.responses.listener
    opened = np.bincount(interest_of)
    owner = np.empty(len(opened), dtype=np.int32)
    owner[interest_of] = listener
    share = opened / np.bincount(listener)[owner]
    met_once = np.count_nonzero(opened == 1)
    is_new = (met_once + 1) / (len(interest_of) + 2)
    centred = interests - interests.mean(axis=0)
    usual = estimate_precision(centred, errors)
    distance = np.einsum("ij,ij->i", centred @ usual, centred)
    _, new_volume = np.linalg.slogdet(new_precision)
    _, usual_volume = np.linalg.slogdet(usual)
    volume = new_volume - usual_volume
    prior = np.log(share * (1 - is_new) / is_new)
    odds: FloatArray = prior + (volume + distance) / 2
    return odds.astype(np.float32)


def _decays(
    training: Training, features: Vectors, interests: Vectors, interest_of: Int32Array
) -> tuple[float, float]:
    """Find the artists' fatigue and the tiredness by responses that were not learned from.

    Responses to the artist of the organic track do not count, where there are others: an interest
    that is near its organic track likes them more than the vectors say.
    """
    heard = training.responses
    again = np.flatnonzero(heard.earlier > 0)
    organic = heard.organic[heard.opening[again]]
    is_other = heard.artist[heard.track[again]] != heard.artist[organic]
    others = again[is_other]
    used = np.concatenate([training.held_out, others if len(others) else again])
    logit = paired_dots(
        interests.means,
        interest_of[heard.opening[used]],
        features.means,
        heard.track[used],
        training.threads,
    )
    mean, _ = mean_and_slope(logit)
    counts = np.column_stack([heard.earlier[used], heard.before[used]])
    fatigue, tiredness = find_decays(mean, heard.time[used], counts).tolist()
    return fatigue, tiredness
