"""A few figures that say what a world is like: simulated sessions under fixed recommenders."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.listening.response import dot_rows, raw_share
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import Recommender, play_out, recommend_random
from sim.worlds.config import CalibrationConfig

_BATCH = 20_000


@dataclass(frozen=True)
class Calibration:
    """A world's figures; sessions include their organic tracks."""

    random_tracks: float  # tracks a session with random recommendations
    random_listening: float  # listening time a session with random recommendations
    same_artist_ratio: float  # listening time a session with the same artist each time, over random_listening
    near_share: float  # mean raw share of an interest's nearest tracks, before gamma and rounding


def same_artist_recommender(artist: IntArray) -> Recommender:
    """Make a recommender of tracks by the artist just played, unheard while there is one, all such equally likely."""
    tracks_of = np.split(np.argsort(artist, kind="stable"), np.cumsum(np.bincount(artist))[:-1])

    def recommend(sessions: Sessions, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        picks = np.empty(len(rows), dtype=np.int64)
        for position, (row, last) in enumerate(zip(rows, sessions.last_tracks(rows), strict=True)):
            own = tracks_of[artist[last]].tolist()
            heard = set(sessions.played(row).tolist())
            unheard = [track for track in own if track not in heard] or own
            picks[position] = unheard[rng.integers(len(unheard))]
        return picks, np.full(len(rows), np.nan)

    return recommend


def calibrate(model: ListeningModel, sessions: int, seed: int) -> Calibration:
    """Measure a world's figures, each on so many sessions."""
    tracks, listening = _play(model, recommend_random, sessions, seed)
    _, same_artist = _play(model, same_artist_recommender(model.world.artist), sessions, seed)
    return Calibration(tracks, listening, same_artist / listening, near_share(model))


def compare(figures: Calibration, ranges: CalibrationConfig) -> list[str]:
    """Return lines that say how far each figure lies within its range."""
    lines = []
    for key, value in vars(figures).items():
        span, name = getattr(ranges, key), CalibrationConfig.model_fields[key].description
        verdict = "within" if value in span else "OUTSIDE"
        lines.append(f"{name}: {value:.3f}, {verdict} {span.low:g}..{span.high:g}")
    return lines


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
