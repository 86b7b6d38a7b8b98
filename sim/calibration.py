"""A few figures that say what a world is like: simulated sessions under fixed recommenders."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import IntArray
from looplib.randomness import make_generator
from sim.listening.response import dot_rows, raw_share
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import RandomRecommender, Recommended, Recommender, play_out
from sim.worlds.config import CalibrationConfig, Span
from sim.worlds.files import World

_BATCH = 20_000


@dataclass(frozen=True)
class Calibration:
    """A world's figures; sessions include their organic tracks."""

    random_tracks: float  # tracks a session with random recommendations
    random_listening: float  # listening time a session with random recommendations
    same_artist_ratio: float  # listening time a session with the same artist each time, over random_listening
    near_share: float  # mean raw share of an interest's nearest tracks, before gamma and rounding


@dataclass(frozen=True)
class Reading:
    """A figure beside the range in which it is meant to be."""

    name: str
    value: float
    span: Span


class SameArtistRecommender:
    """Recommends another track of the artist just played, unheard while there is one, all such equally likely."""

    def __init__(self, world: World) -> None:
        """List the tracks of each artist."""
        self._by_artist = np.argsort(world.artist, kind="stable")
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(world.artist))])
        self._artist = world.artist

    def recommend(self, sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> Recommended:
        """Draw for one session after the other: for calibration, not for speed."""
        picks = np.empty(len(rows), dtype=np.int64)
        for position, (row, artist) in enumerate(zip(rows, self._artist[sessions.last_tracks(rows)], strict=True)):
            own = self._by_artist[self._offsets[artist] : self._offsets[artist + 1]].tolist()
            heard = set(sessions.played(row).tolist())
            unheard = [track for track in own if track not in heard] or own
            picks[position] = unheard[rng.integers(len(unheard))]
        return Recommended(picks, np.full(len(rows), np.nan))


def calibrate(model: ListeningModel, sessions: int, seed: int) -> Calibration:
    """Measure a world's figures, each on so many sessions."""
    tracks, listening = _play(model, RandomRecommender(model.world.tracks), sessions, seed)
    _, same_artist = _play(model, SameArtistRecommender(model.world), sessions, seed)
    return Calibration(tracks, listening, same_artist / listening, near_share(model))


def compare(figures: Calibration, ranges: CalibrationConfig) -> list[Reading]:
    """Put each figure beside its range."""
    return [
        Reading("tracks a session, random", figures.random_tracks, ranges.random_tracks),
        Reading("listening time a session, random", figures.random_listening, ranges.random_listening),
        Reading("listening time with one artist, over random", figures.same_artist_ratio, ranges.same_artist_ratio),
        Reading("share heard near an interest", figures.near_share, ranges.near_share),
    ]


def near_share(model: ListeningModel) -> float:
    """Return the mean raw share heard of the tracks nearest to an interest, over all listeners' interests."""
    world = model.world
    who = np.repeat(np.arange(world.listeners), np.diff(world.interest_offsets))
    shares = [
        raw_share(
            dot_rows(world.embeddings, neighbour, world.embeddings[world.interests].astype(np.float64)),
            world.consume_bias[who],
            world.consume_sharpness[who],
        ).mean()
        for neighbour in model.nearest.T
    ]
    return float(np.mean(shares))


def _play(model: ListeningModel, recommender: Recommender, count: int, seed: int) -> tuple[float, float]:
    """Return mean tracks and mean listening time a session."""
    tracks = listening = 0.0
    for start in range(0, count, _BATCH):
        rng = make_generator(seed, "calibration", start)
        listeners = rng.integers(model.world.listeners, size=min(_BATCH, count - start))
        sessions = Sessions(model, listeners, rng)
        play_out(sessions, recommender, rng)
        tracks += float(sessions.length.sum())
        listening += float(sessions.hundredths.sum(dtype=np.int64)) / 100.0
    return tracks / count, listening / count
