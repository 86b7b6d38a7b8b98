"""The recommender that infers the interest a session follows; the same session gets the same track.

`looplib.session_model` says how. The track with the longest expected time is recommended, where an
artist already heard counts for less.
"""

import numpy as np

from botify.model.catalogue import Catalogue
from botify.model.factors import FACTORS
from botify.model.model import LISTS, Model
from botify.model.session_model import SESSION_MODEL
from botify.recommenders.base import IS_EXHAUSTED, IS_UNKNOWN, Drawn, Recommender, Row
from looplib.arrays import Float32Array
from looplib.session_model import LEAST_SHARE, SessionModel


class FollowInterest(Recommender):
    """Takes the track with the longest expected time, by what the session has shown so far."""

    reads = (SESSION_MODEL,)
    # of those that answer in its place, where held-out sessions chose them
    reads_for_arms = (FACTORS, LISTS)

    def draw(self, model: Model, row: Row, _: np.random.Generator) -> Drawn:
        """Infer the interest of the session, and score all tracks by it."""
        fitted, catalogue = model.get(SESSION_MODEL), model.catalogue
        if fitted is None:
            return IS_UNKNOWN
        heard = fitted.hear(catalogue.artist, row.tracks, row.times)
        interest = fitted.infer(row.user, row.tracks[0], heard)
        scores = interest.astype(np.float32) @ fitted.by_factor
        return _best(scores, fitted, catalogue, row, heard.plays)


def _best(
    scores: Float32Array,
    fitted: SessionModel,
    catalogue: Catalogue,
    row: Row,
    plays: dict[int, int],
) -> Drawn:
    """Take the track with the longest expected time by its logit; scores are changed in place.

    A share expit(x) of which fatigue leaves the part g has the logit log(g) - log(1 - g + exp(-x)).
    It only gets lower, so an artist's tracks are lowered when one of them is the best.
    """
    scores[list(row.taken)] = scores[fitted.unheard] = -np.inf
    while True:
        track = int(scores.argmax())
        if scores[track] == -np.inf:
            return IS_EXHAUSTED
        artist = int(catalogue.artist[track])
        rest = fitted.artist_fatigue ** plays.pop(artist, 0)
        if rest >= 1:
            return Drawn(track, 1.0)
        own, rest = catalogue.tracks_of(artist), max(rest, LEAST_SHARE)
        against = np.logaddexp(np.log(1 - rest), -scores[own])
        scores[own] = np.log(rest) - against
