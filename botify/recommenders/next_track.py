"""The recommender of what follows the latest tracks; the same session gets the same track."""

import numpy as np

from botify.model.model import Model
from botify.model.next_track import NEXT_TRACK
from botify.recommenders.base import IS_UNKNOWN, Drawn, Recommender, Row, take_best


class FollowSession(Recommender):
    """Takes the track that is nearest to the latest of the session and the listener's own."""

    reads = (NEXT_TRACK,)

    def draw(self, model: Model, row: Row, _: np.random.Generator) -> Drawn:
        """Score all tracks, and take the best that is not taken."""
        fitted = model.get(NEXT_TRACK)
        if fitted is None:
            return IS_UNKNOWN
        scores = fitted.score(row.user, row.tracks)
        if not scores.any():
            return IS_UNKNOWN
        scores[scores == 0] = -np.inf
        return take_best(scores, row.taken)
