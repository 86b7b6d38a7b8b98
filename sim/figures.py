"""What a world is like, in figures: simulated sessions under fixed recommenders.

Names of figures begin with the recommender: `random`; `sticky`, any track of the artist, as the original course service
has it; `neighbours`, one of the 30 tracks nearest to the opening one. `lift` is the listening time over random's, in %.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from looplib.arrays import ByteArray, FloatArray, IntArray
from looplib.randomness import make_generator
from sim.listening.response import dot_rows
from sim.listening.sessions import ListeningModel, Sessions, draw_starts
from sim.recommenders import (
    Recommender,
    make_neighbours,
    make_popular,
    make_same_artist,
    play_out,
    recommend_random,
)

Element = TypeVar("Element", bound=np.generic)

_BATCH = 20_000
_LOGGED = 46_000  # sessions
_POPULAR, _NEIGHBOURS = 100, 30
_POSITIONS = (1, 2, 3, 5, 10, 20)  # of recommended tracks
_SKIPPED = 0.5  # a track of which less is heard
_LISTENERS, _OPENINGS, _PRODUCTS = 1000, 30, 100_000
_DETAILED = ("random", "sticky", "neighbours")


@dataclass(frozen=True)
class Heard:
    """Whole sessions; the organic track of each is at position 0."""

    listener: IntArray  # (sessions,)
    length: IntArray  # (sessions,) tracks, the organic one included
    hundredths: ByteArray  # (longest, sessions) share heard, 0 behind the end
    tracks: IntArray  # (longest, sessions), -1 behind the end

    @property
    def time(self) -> FloatArray:
        """(sessions,) listening time, the organic track included."""
        totals: FloatArray = self.hundredths.sum(axis=0, dtype=np.int64) / 100.0
        return totals

    def at(self, position: int) -> FloatArray:
        """Return the shares heard of the recommended tracks at a position, from 1, of the sessions that reach it."""
        if position >= len(self.hundredths):
            return np.empty(0)
        shares: FloatArray = self.hundredths[position, self.length > position] / 100.0
        return shares

    def recommended(self) -> FloatArray:
        """Return the shares heard of all recommended tracks."""
        played = np.arange(len(self.hundredths))[:, None] < self.length
        played[0] = False
        shares: FloatArray = self.hundredths[played] / 100.0
        return shares


def listen(model: ListeningModel, recommend: Recommender, listeners: IntArray, seed: int) -> Heard:
    """Simulate a session of each of these listeners (sessions,)."""
    found = [
        _listen(model, recommend, listeners[start : start + _BATCH], make_generator(seed, "figures", start))
        for start in range(0, len(listeners), _BATCH)
    ]
    longest = max(len(heard.hundredths) for heard in found)
    return Heard(
        np.concatenate([heard.listener for heard in found]),
        np.concatenate([heard.length for heard in found]),
        np.concatenate([_lengthened(heard.hundredths, longest, 0) for heard in found], axis=1),
        np.concatenate([_lengthened(heard.tracks, longest, -1) for heard in found], axis=1),
    )


def measure(model: ListeningModel, sessions: int, seed: int) -> dict[str, float]:
    """Return the figures that a realism card shows, each from so many sessions, two of each listener drawn.

    The popular tracks, 100, are those with the most listening time in as many sessions as the original's logs have.
    """
    world = model.world
    listeners = np.repeat(make_generator(seed, "card").integers(world.listeners, size=max(sessions // 2, 2)), 2)
    log = listen(model, recommend_random, np.arange(_LOGGED) % world.listeners, seed + 1)
    heard = {
        name: listen(model, recommend, listeners, seed)
        for name, recommend in {
            "random": recommend_random,
            "sticky": make_same_artist(world.artist, repeats=True),
            "same artist": make_same_artist(world.artist, repeats=False),
            "popular": make_popular(popular_tracks(log, world.tracks, _POPULAR)),
            "neighbours": make_neighbours(world.embeddings, min(_NEIGHBOURS, world.tracks - 1)),
        }.items()
    }
    found = {f"{name} {key}": value for name in _DETAILED for key, value in describe(heard[name]).items()}
    found["openings repeated"] = repeated_openings(model, make_generator(seed, "openings"))
    found |= products(model, make_generator(seed, "products"))
    base = float(heard["random"].time.mean())
    return found | {f"{name} lift": 100 * (float(played.time.mean()) / base - 1) for name, played in heard.items()}


def repeated_openings(model: ListeningModel, rng: np.random.Generator) -> float:
    """Return the share of opening tracks that opened an earlier session of their listener, over 30 sessions of each."""
    listeners = np.repeat(np.arange(min(model.world.listeners, _LISTENERS)), _OPENINGS)
    pairs = listeners * model.world.tracks + draw_starts(model, listeners, rng).organic
    return 1.0 - len(np.unique(pairs)) / len(pairs)


def products(model: ListeningModel, rng: np.random.Generator) -> dict[str, float]:
    """Return figures of the products track . interest, with random tracks and with others of the interest's artist."""
    world = model.world
    interests = rng.choice(world.interests, size=_PRODUCTS)
    vectors = world.embeddings[interests].astype(np.float64)
    any_track = dot_rows(world.embeddings, rng.integers(world.tracks, size=_PRODUCTS), vectors)
    by_artist, sizes = np.argsort(world.artist, kind="stable"), np.bincount(world.artist)
    first, own = (np.cumsum(sizes) - sizes)[world.artist[interests]], sizes[world.artist[interests]]
    same = by_artist[first + rng.integers(0, own)]
    other = same != interests
    return {
        "product mean": float(any_track.mean()),
        "product SD": float(any_track.std()),
        "product 99.9 %": float(np.percentile(any_track, 99.9)),
        "product same artist": float(np.median(dot_rows(world.embeddings, same, vectors)[other])),
        "artist's tracks": float((sizes**2).sum() / sizes.sum()),
    }


def describe(heard: Heard) -> dict[str, float]:
    """Return figures of sessions, every two of which after each other are one listener's."""
    time, shares = heard.time, heard.recommended()
    pair = np.arange(len(time)) // 2
    spread, correlation = between_listeners(pair, time)
    found = {
        "tracks": heard.length.mean(),
        "time": time.mean(),
        "time SD": time.std(),
        "share 0": (shares == 0).mean(),
        "share < 0.1": (shares < 0.1).mean(),
        "share > 0.5": (shares > 0.5).mean(),
        "share > 0.9": (shares > 0.9).mean(),
        "median share": np.median(shares),
        "length 6": (heard.length == 6).mean(),
        "longest": heard.length.max(),
        "between listeners": spread,
        "intraclass correlation": correlation,
    }
    for position in _POSITIONS:
        at = heard.at(position)
        found[f"share at {position}"] = at.mean() if len(at) else np.nan
        found[f"skipped at {position}"] = (at < _SKIPPED).mean() if len(at) else np.nan
    for percent in (50, 95, 99):
        found[f"length {percent} %"] = np.percentile(heard.length, percent)
    for percent in (10, 90, 99):
        found[f"listener {percent} %"] = np.percentile(np.bincount(pair, weights=time) / np.bincount(pair), percent)
    return {key: float(value) for key, value in found.items()}


def between_listeners(listener: IntArray, time: FloatArray) -> tuple[float, float]:
    """Return the standard deviation of the listeners' means, and its share of a session's variance.

    The analysis of variance's estimates (Searle, Casella and McCulloch, Variance Components, 1992, 3.6), of sessions
    (sessions,); the second is the intraclass correlation.
    """
    _, who, counts = np.unique(listener, return_inverse=True, return_counts=True)
    means = np.bincount(who, weights=time) / counts
    groups, total = len(counts), len(time)
    within = float(((time - means[who]) ** 2).sum()) / max(total - groups, 1)
    among = float((counts * (means - time.mean()) ** 2).sum()) / max(groups - 1, 1)
    size = (total - float((counts**2).sum()) / total) / max(groups - 1, 1)
    between = max((among - within) / size, 0.0)
    return between**0.5, between / (between + within) if between + within else float("nan")


def popular_tracks(heard: Heard, tracks: int, count: int) -> IntArray:
    """Return the tracks with the most listening time among those recommended (count,)."""
    played = heard.tracks[1:] >= 0
    times = np.bincount(heard.tracks[1:][played], weights=heard.hundredths[1:][played], minlength=tracks)
    return np.argsort(-times, kind="stable")[:count]


def _listen(model: ListeningModel, recommend: Recommender, listeners: IntArray, rng: np.random.Generator) -> Heard:
    sessions = Sessions(model, listeners, rng)
    play_out(sessions, recommend, rng)
    longest = int(sessions.length.max())
    is_played = np.arange(longest)[:, None] < sessions.length
    hundredths = np.where(is_played, sessions.hundredths[:longest], 0).astype(np.uint8)
    tracks = np.where(is_played, sessions.tracks[:longest], -1).astype(np.int64)
    return Heard(sessions.listener, sessions.length, hundredths, tracks)


def _lengthened(table: npt.NDArray[Element], rows: int, fill: int) -> npt.NDArray[Element]:
    return np.pad(table, ((0, rows - len(table)), (0, 0)), constant_values=fill)
