"""Recommendations made here, for many sessions at once."""

from collections.abc import Callable

import numpy as np

from looplib.arrays import Float32Array, IntArray
from sim.errors import SimError
from sim.listening.sessions import LONGEST_SESSION, Sessions
from sim.worlds.neighbours import nearest_tracks

# Returns a track for each of some sessions under way (rows,).
Recommender = Callable[[Sessions, IntArray, np.random.Generator], IntArray]


def recommend_random(
    sessions: Sessions, rows: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw any track of the catalogue, all equally likely, repeats included."""
    return rng.integers(sessions.world.tracks, size=len(rows))


def recommend_same_artist(
    sessions: Sessions, rows: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw any track by the artist just played, repeats included, as the original course service does."""
    artists = sessions.world.artist[sessions.last_tracks(rows)]
    return draw_of_artists(sessions.world.artist, artists, rng)


def draw_of_artists(
    artist: IntArray, wanted: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw a track by each of the wanted artists, all of an artist's equally likely; `artist` is (tracks,)."""
    sizes = np.bincount(artist)
    first = np.cumsum(sizes) - sizes
    drawn: IntArray = np.argsort(artist, kind="stable")[
        first[wanted] + rng.integers(0, sizes[wanted])
    ]
    return drawn


def make_popular(tracks: IntArray) -> Recommender:
    """Make a recommender that draws any of some tracks, such as the most popular ones, repeats included."""

    def recommend(_: Sessions, rows: IntArray, rng: np.random.Generator) -> IntArray:
        return rng.choice(tracks, size=len(rows))

    return recommend


def make_neighbours(embeddings: Float32Array, count: int) -> Recommender:
    """Make a recommender that draws one of the `count` tracks nearest to the session's organic track, not itself.

    It knows the embeddings (tracks, dimensions), and so stands for item neighbours that were
    learned perfectly.
    """
    neighbours = np.full((len(embeddings), count), -1)

    def recommend(
        sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        organic = sessions.tracks[0, rows]
        if len(
            missing := np.unique(organic[neighbours[organic, 0] < 0]).astype(np.int64)
        ):
            neighbours[missing] = nearest_tracks(embeddings, missing, count + 1)[:, 1:]
        drawn: IntArray = neighbours[organic, rng.integers(count, size=len(rows))]
        return drawn

    return recommend


def play_out(
    sessions: Sessions, recommend: Recommender, rng: np.random.Generator
) -> None:
    """Play all sessions to their ends.

    Raises:
        SimError: A session does not end.
    """
    while len(rows := sessions.under_way()):
        if sessions.length.max() > LONGEST_SESSION:
            listener = int(sessions.listener[rows[0]])
            raise SimError(
                f"listener {listener} is not bored after {LONGEST_SESSION} tracks in one session"
            )
        sessions.hear(rows, recommend(sessions, rows, rng), rng.random(len(rows)))
