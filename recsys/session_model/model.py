"""A fitted session model, and what it says of a session that nothing is known of but its listener and organic track."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import Float32Array, Int32Array
from recsys.session_model.likelihood import (
    calibrate,
    find_decay,
    mean_and_slope,
    working_responses,
)
from recsys.session_model.ridge import Vectors, paired_dots, precision_of
from recsys.session_model.training import Training, listener_tastes


@dataclass(frozen=True)
class FittedSessionModel:
    """A fitted session model, in the indices of the responses that it was fitted on; k factors."""

    tracks: Float32Array  # v of each track, shape (tracks, k)
    interests: (
        Float32Array  # x of each interest, the constant last, shape (interests, k + 1)
    )
    interest_of: Int32Array  # the interest of each opening, shape (openings,)
    evidence: Int32Array  # responses behind each interest, shape (interests,)
    # inverse covariance about what their organic tracks say, (k + 1, k + 1)
    interest_precision: Float32Array
    # precision that an average response adds to its interest, (k + 1, k + 1)
    information: Float32Array
    # an unknown interest's expected x is (v, 1) of its organic track times this
    newcomer_map: Float32Array
    # inverse covariance of an unknown listener's x about that, (k + 1, k + 1)
    newcomer_precision: Float32Array
    scale: Float32Array  # a known listener's expected x is this times as long, shape (listeners,)
    constant: Float32Array  # and has this constant, shape (listeners,)
    # inverse covariance of a known listener's x about that, (k + 1, k + 1)
    new_precision: Float32Array
    # log odds of each interest against a new one, before its distance to what is expected
    odds: Float32Array
    dispersion: float  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist in the session
    artist_fatigue: float
    # factor on the time of a track for each recommended track before it in the session
    tiredness: float
    # chance before each recommended track that the session's interest is drawn anew
    interest_change: float


def describe(
    training: Training,
    tracks: Vectors,
    interests: Vectors,
    precision: Float32Array,
    interest_of: Int32Array,
    change: float,
) -> FittedSessionModel:
    """Return the model of fitted vectors; precision is that of the interests about what their organic tracks say."""
    who, features = training.responses.listener, tracks.with_constant()
    opened_by, followed = (
        features.means[training.responses.organic],
        interests.means[interest_of],
    )
    newcomer_map = np.linalg.lstsq(opened_by, followed, rcond=None)[0].astype(
        np.float32
    )
    expected = opened_by @ newcomer_map
    scale, constant = listener_tastes(
        who, expected[:, :-1], followed, np.ones(len(who), dtype=np.int64)
    )
    own = np.hstack([expected[:, :-1] * scale[who, None], constant[who, None]])
    new_precision = precision_of(followed - own, interests.covariance)
    return FittedSessionModel(
        tracks=tracks.means,
        interests=interests.means,
        interest_of=interest_of,
        evidence=np.bincount(
            interest_of[training.opening], minlength=len(interests.means)
        ).astype(np.int32),
        interest_precision=precision,
        information=_average_information(training, features, interests, interest_of),
        newcomer_map=newcomer_map,
        newcomer_precision=precision_of(followed - expected, interests.covariance),
        scale=scale,
        constant=constant,
        new_precision=new_precision,
        odds=_odds(who, interests, interest_of, constant, new_precision),
        dispersion=training.dispersion,
        artist_fatigue=_fatigue(training, features, interests, interest_of),
        tiredness=training.tiredness,
        interest_change=change,
    )


def _average_information(
    training: Training, features: Vectors, interests: Vectors, interest_of: Int32Array
) -> Float32Array:
    """Average w f f' over the responses, and what the features are uncertain by."""
    track = training.by_track.row
    logit = paired_dots(
        interests.means,
        interest_of[training.opening],
        features.means,
        track,
        training.threads,
    )
    rest = training.rest(training.kept)
    _, weights = working_responses(
        logit, training.time, training.dispersion, training.step, rest
    )
    of_track = np.bincount(track, weights, len(features.means)) / max(len(track), 1)
    products = (features.means * of_track[:, None]).T @ features.means
    average: Float32Array = (products + of_track.sum() * features.covariance).astype(
        np.float32
    )
    return average


def _odds(
    listener: Int32Array,
    interests: Vectors,
    interest_of: Int32Array,
    constant: Float32Array,
    new: Float32Array,
) -> Float32Array:
    """Return the log odds of each interest against a new one, at a new opening of its listener.

    The chance of something new is that of an interest met once (Good, "The population frequencies of species", 1953).
    Among the known, an interest x counts by its openings and, by Bayes' rule, by p(x | organic track) / p(x). Both are
    normal. The service, which knows the track, adds the term of the distance of x from what the organic track says.
    """
    openings = np.bincount(interest_of)
    is_new = (np.count_nonzero(openings == 1) + 1) / (len(interest_of) + 2)
    owner = np.empty(len(openings), dtype=np.int32)
    owner[interest_of] = listener
    centred = interests.means.copy()
    centred[:, -1] -= constant[owner]
    usual = precision_of(centred, interests.covariance)
    density = np.linalg.slogdet(new)[1] - np.linalg.slogdet(usual)[1]
    density = (density + np.einsum("ij,ij->i", centred @ usual, centred)) / 2
    share = openings / np.bincount(listener)[owner]
    odds: Float32Array = (np.log(share * (1 - is_new) / is_new) + density).astype(
        np.float32
    )
    return odds


def _fatigue(
    training: Training, features: Vectors, interests: Vectors, interest_of: Int32Array
) -> float:
    """Find the artists' fatigue, by logits calibrated on the responses held out.

    Responses to the artist of the organic track do not count, where there are others: an interest
    that is near its organic track likes them more than the vectors say.
    """
    heard = training.responses
    again = np.flatnonzero(heard.earlier > 0)
    others = again[
        heard.artist[heard.track[again]]
        != heard.artist[heard.organic[heard.opening[again]]]
    ]
    again = others if len(others) else again

    def logit_of(responses: np.ndarray) -> Float32Array:
        interest = interest_of[heard.opening[responses]]
        return paired_dots(
            interests.means,
            interest,
            features.means,
            heard.track[responses],
            training.threads,
        )

    held_out = training.held_out
    shift, slope = calibrate(
        logit_of(held_out), heard.time[held_out] / training.rest(held_out)
    )
    fresh, _ = mean_and_slope(shift + slope * logit_of(again))
    factor, _ = find_decay(
        training.rest(again) * fresh,
        heard.time[again],
        heard.earlier[again],
        has_level=False,
    )
    return factor
