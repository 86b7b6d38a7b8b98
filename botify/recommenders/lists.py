"""Recommenders that take one of the tracks not yet taken: of all, of an artist, of a list."""

from abc import abstractmethod
from collections.abc import Sequence

from numpy.random import Generator

from botify.model.model import LISTS, Artifact, ServedModel
from botify.model.tracklists import NO_LISTS, TrackLists
from botify.recommenders.base import (
    EXHAUSTED,
    UNKNOWN,
    Drawn,
    Query,
    Recommender,
    take_first,
)
from looplib.arrays import NO_TRACK


class Random(Recommender):
    """Draws any track of the catalogue, each equally likely."""

    def draw(self, model: ServedModel, query: Query, rng: Generator) -> Drawn:
        """Draw until a track is not taken."""
        total = len(model.catalogue)
        count = total - len(query.taken)
        if count <= 0:
            return EXHAUSTED
        track = int(rng.random() * total)
        while track in query.taken:
            track = int(rng.random() * total)
        return Drawn(track, 1.0 / count)


class OneOf(Recommender):
    """Draws one of some tracks for each listener, each equally likely."""

    @abstractmethod
    def _candidates(self, model: ServedModel, query: Query) -> Sequence[int]:
        """List the tracks for a listener; none where nothing is known."""

    def draw(self, model: ServedModel, query: Query, rng: Generator) -> Drawn:
        """Draw one of the candidates that are not taken."""
        tracks, chance = self._candidates(model, query), rng.random()
        free = [track for track in tracks if track not in query.taken]
        if free:
            track = free[int(chance * len(free))]
            return Drawn(track, 1.0 / len(free))
        return EXHAUSTED if tracks else UNKNOWN


class StickyArtist(OneOf):
    """Draws another track of the artist just heard."""

    def _candidates(self, model: ServedModel, query: Query) -> Sequence[int]:
        if query.tracks[-1] == NO_TRACK:
            return []
        artist = int(model.catalogue.artist[query.tracks[-1]])
        tracks: list[int] = model.catalogue.tracks_of(artist).tolist()
        return tracks


class TopPop(OneOf):
    """Draws one of the most popular tracks."""

    reads = (LISTS,)

    def _candidates(self, model: ServedModel, query: Query) -> Sequence[int]:  # noqa: ARG002
        return model.popular


class Indexed(OneOf):
    """Draws one track of the listener's list."""

    reads = (LISTS,)

    def _candidates(self, model: ServedModel, query: Query) -> Sequence[int]:
        return model.recommendations.list_of(query.user)


class InOrder(Recommender):
    """Takes the best track of the listener's list; the same session gets the same track."""

    def __init__(self, lists: Artifact[TrackLists] = LISTS) -> None:
        """Take tracks of some lists of the export."""
        self.reads = (lists,)
        self._lists = lists

    def draw(self, model: ServedModel, query: Query, _: Generator) -> Drawn:
        """Take the first track that is not taken."""
        lists = model.get(self._lists) or NO_LISTS
        tracks = lists.list_of(query.user)
        return take_first(tracks, query.taken) if tracks else UNKNOWN
