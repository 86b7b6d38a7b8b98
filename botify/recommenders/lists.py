"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list."""

from abc import abstractmethod
from collections.abc import Sequence

from numpy.random import Generator

from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.model import LISTS, Model, Part
from botify.model.tracklists import NO_LISTS, TrackLists
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Drawn,
    Recommender,
    Row,
    take_first,
)


class Random(Recommender):
    """Draws any track of the catalogue, each equally likely."""

    def draw(self, model: Model, row: Row, rng: Generator) -> Drawn:
        """Draw until a track is not taken."""
        total = len(model.catalogue)
        count = total - len(row.taken)
        if count <= 0:
            return IS_EXHAUSTED
        track = int(rng.random() * total)
        while track in row.taken:
            track = int(rng.random() * total)
        return Drawn(track, 1.0 / count)


class OneOf(Recommender):
    """Draws one of some tracks for each row, each equally likely."""

    @abstractmethod
    def _candidates(self, model: Model, row: Row) -> Sequence[int]:
        """Return the tracks for a row; none where nothing is known of it."""

    def draw(self, model: Model, row: Row, rng: Generator) -> Drawn:
        """Draw one of the candidates that are not taken."""
        tracks, chance = self._candidates(model, row), rng.random()
        free = [track for track in tracks if track not in row.taken]
        if free:
            track = free[int(chance * len(free))]
            return Drawn(track, 1.0 / len(free))
        return IS_EXHAUSTED if tracks else IS_UNKNOWN


class StickyArtist(OneOf):
    """Draws another track of the artist just heard."""

    def _candidates(self, model: Model, row: Row) -> Sequence[int]:
        if row.tracks[-1] == UNKNOWN_TRACK:
            return []
        artist = int(model.catalogue.artist[row.tracks[-1]])
        tracks: list[int] = model.catalogue.tracks_of(artist).tolist()
        return tracks


class TopPop(OneOf):
    """Draws one of the most popular tracks."""

    reads = (LISTS,)

    def _candidates(self, model: Model, row: Row) -> Sequence[int]:  # noqa: ARG002
        return model.popular


class Indexed(OneOf):
    """Draws one track of the listener's own list."""

    reads = (LISTS,)

    def _candidates(self, model: Model, row: Row) -> Sequence[int]:
        return model.recommendations.list_of(row.user)


class InOrder(Recommender):
    """Takes the best track of the listener's own list; the same session gets the same track."""

    def __init__(self, part: Part[TrackLists] = LISTS) -> None:
        """Take tracks of the lists in a part of the version."""
        self.reads = (part,)
        self._part = part

    def draw(self, model: Model, row: Row, _: Generator) -> Drawn:
        """Take the first track that is not taken."""
        own = (model.get(self._part) or NO_LISTS).list_of(row.user)
        return take_first(own, row.taken) if own else IS_UNKNOWN
