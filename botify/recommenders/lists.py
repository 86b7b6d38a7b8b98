"""Draw a track that is not yet taken: from all tracks, an artist's tracks or a list."""

from collections.abc import Sequence

from numpy.random import Generator

from botify.model.model import Artifact, ServedModel
from botify.model.tracklists import TrackLists
from botify.recommenders.base import (
    EXHAUSTED,
    UNKNOWN,
    Drawn,
    Query,
    Recommender,
    take_first,
)
from looplib.arrays import NO_TRACK


def draw_any(model: ServedModel, query: Query, rng: Generator) -> Drawn:
    """Draw tracks of the catalogue, each equally likely, until a track is not taken."""
    if query.candidates is not None:
        return draw_one(query.candidates.tolist(), query, rng)
    total = len(model.catalogue)
    count = total - len(query.taken)
    if count <= 0:
        return EXHAUSTED
    drawn: dict[int, None] = {}
    while len(drawn) < min(query.count, count):
        track = int(rng.random() * total)
        if track not in query.taken:
            drawn[track] = None
    track, *following = drawn
    return Drawn(track, 1.0 / count, following=tuple(following))


def draw_same_artist(model: ServedModel, query: Query, rng: Generator) -> Drawn:
    """Draw another track of the artist just heard."""
    if query.tracks[-1] == NO_TRACK:
        return UNKNOWN
    artist = int(model.catalogue.artist[query.tracks[-1]])
    return draw_one(model.catalogue.tracks_of(artist).tolist(), query, rng)


def draw_popular(model: ServedModel, query: Query, rng: Generator) -> Drawn:
    """Draw a track from the most popular tracks."""
    return draw_one(model.popular, query, rng)


def draw_listed(model: ServedModel, query: Query, rng: Generator) -> Drawn:
    """Draw a track from the listener's list."""
    return draw_one(model.recommendations.list_of(query.user), query, rng)


def draw_one(tracks: Sequence[int], query: Query, rng: Generator) -> Drawn:
    """Draw a track that is not taken, each equally likely.

    >>> from numpy.random import default_rng
    >>> draw_one([3, 1, 2], Query(7, [3, 2], [1.0, 0.4]), default_rng(1))
    Drawn(track=1, propensity=1.0, is_exhausted=False, following=())
    """
    chance = rng.random()
    free = [*query.allowed(tracks)]
    if not free:
        return EXHAUSTED if tracks else UNKNOWN
    propensity = 1.0 / len(free)
    track = free.pop(int(chance * len(free)))
    following = rng.permutation(free)[: query.count - 1] if query.count > 1 else ()
    return Drawn(track, propensity, following=tuple(map(int, following)))


def in_order(artifact: Artifact[TrackLists]) -> Recommender:
    """Make the recommender of the best track of the listener's list in a file of the export.

    The same session gets the same track.
    """

    def draw(model: ServedModel, query: Query, _: Generator) -> Drawn:
        lists = model.get(artifact)
        tracks = lists.list_of(query.user) if lists else []
        if not tracks:
            return UNKNOWN
        return take_first(query.allowed(tracks), query.count)

    return Recommender(draw, reads=(artifact,), ranks=True)
