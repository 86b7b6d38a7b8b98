"""What a world is like, in figures: simulated sessions under fixed recommenders.

Names of figures begin with the recommender: `random`; `sticky`, any track of the artist, as the
original course service has it; `neighbours`, one of the 30 tracks nearest to the opening one.
`lift` is the listening time over random's, in %.
"""

from dataclasses import dataclass, replace

import numpy as np

from looplib.arrays import BoolArray, FloatArray, IntArray
from looplib.randomness import make_generator
from sim.listening.response import dot_rows
from sim.listening.sessions import ListeningModel, Sessions, draw_starts
from sim.recommenders import (
    Recommender,
    draw_of_artists,
    make_neighbours,
    make_popular,
    play_out,
    recommend_random,
    recommend_same_artist,
)

_BATCH = 20_000
_LOGGED = 46_000  # sessions
_POPULAR, _NEIGHBOURS = 100, 30
_POSITIONS = (1, 2, 3, 5, 10, 20)  # of recommended tracks
_SKIPPED = 0.5  # a track of which less is heard
_LISTENERS, _OPENINGS, _PRODUCTS = 1000, 30, 100_000
_DETAILED = ("random", "sticky", "neighbours")


@dataclass(frozen=True)
class Heard:
    """Whole sessions one after the other, each from its organic track on."""

    listener: IntArray  # (sessions,)
    length: IntArray  # (sessions,) tracks of each, the organic one included
    tracks: IntArray  # (tracks of all sessions,)
    hundredths: IntArray  # (tracks of all sessions,) share heard

    @property
    def time(self) -> FloatArray:
        """(sessions,) listening time, the organic track included."""
        totals: FloatArray = (
            np.add.reduceat(self.hundredths, np.cumsum(self.length) - self.length)
            / 100.0
        )
        return totals

    @property
    def position(self) -> IntArray:
        """(tracks of all sessions,) where in its session each is: 0 the organic track, 1 the first recommended one."""
        return np.arange(len(self.tracks)) - np.repeat(
            np.cumsum(self.length) - self.length, self.length
        )

    @property
    def session(self) -> IntArray:
        """(tracks of all sessions,) the number of each one's session."""
        return np.repeat(np.arange(len(self.length)), self.length)

    @property
    def organic(self) -> IntArray:
        """(sessions,) the track that opened each."""
        tracks: IntArray = self.tracks[np.cumsum(self.length) - self.length]
        return tracks

    def only(self, wanted: BoolArray) -> "Heard":
        """Return some of the sessions (sessions,)."""
        kept = wanted[self.session]
        return Heard(
            self.listener[wanted],
            self.length[wanted],
            self.tracks[kept],
            self.hundredths[kept],
        )


def listen(
    model: ListeningModel, recommend: Recommender, listeners: IntArray, seed: int
) -> Heard:
    """Simulate a session of each of these listeners (sessions,)."""
    found = []
    for start in range(0, len(listeners), _BATCH):
        rng = make_generator(seed, "figures", start)
        sessions = Sessions(model, listeners[start : start + _BATCH], rng)
        play_out(sessions, recommend, rng)
        played = sessions.is_played().T
        tables = (
            table[: played.shape[1]].T[played]
            for table in (sessions.tracks, sessions.hundredths)
        )
        found.append((sessions.length, *tables))
    return Heard(
        listeners,
        *(np.concatenate(parts).astype(np.int64) for parts in zip(*found, strict=True)),
    )


def measure(model: ListeningModel, sessions: int, seed: int) -> dict[str, float]:
    """Return the figures that a realism card shows, each from so many sessions, two of each listener drawn.

    The popular tracks, 100, are those with the most listening time in as many sessions as the
    original's logs have.
    """
    world = model.world
    listeners = np.repeat(
        make_generator(seed, "card").integers(
            world.listeners, size=max(sessions // 2, 2)
        ),
        2,
    )
    log = listen(
        model, recommend_random, np.arange(_LOGGED) % world.listeners, seed + 1
    )
    recommenders = {
        "random": recommend_random,
        "sticky": recommend_same_artist,
        "popular": make_popular(popular_tracks(log, world.tracks, _POPULAR)),
        "neighbours": make_neighbours(
            world.embeddings, min(_NEIGHBOURS, world.tracks - 1)
        ),
    }
    heard = {
        name: listen(model, recommend, listeners, seed)
        for name, recommend in recommenders.items()
    }
    found = {
        "openings repeated": repeated_openings(model, make_generator(seed, "openings"))
    }
    for name in _DETAILED:
        pairs = replace(heard[name], listener=np.arange(len(listeners)) // 2)
        found |= {f"{name} {key}": value for key, value in describe(pairs).items()}
    found |= products(model, make_generator(seed, "products"))
    base = float(heard["random"].time.mean())
    return found | {
        f"{name} lift": 100 * (float(played.time.mean()) / base - 1)
        for name, played in heard.items()
    }


def repeated_openings(model: ListeningModel, rng: np.random.Generator) -> float:
    """Return the share of opening tracks that opened an earlier session of their listener, over 30 sessions of each."""
    listeners = np.repeat(np.arange(min(model.world.listeners, _LISTENERS)), _OPENINGS)
    return share_repeated(listeners, draw_starts(model, listeners, rng).organic)


def share_repeated(listeners: IntArray, openings: IntArray) -> float:
    """Return the share of sessions that open as an earlier one of their listener does."""
    pairs = np.stack([listeners, openings])
    return 1.0 - len(np.unique(pairs, axis=1).T) / max(len(listeners), 1)


def products(model: ListeningModel, rng: np.random.Generator) -> dict[str, float]:
    """Return figures of the products track . interest, with random tracks and with others of the interest's artist."""
    world = model.world
    interests = rng.choice(world.interests, size=_PRODUCTS)
    vectors = world.embeddings[interests].astype(np.float64)
    any_track = dot_rows(
        world.embeddings, rng.integers(world.tracks, size=_PRODUCTS), vectors
    )
    same = draw_of_artists(world.artist, world.artist[interests], rng)
    sizes = np.bincount(world.artist)
    return {
        "product mean": float(any_track.mean()),
        "product SD": float(any_track.std()),
        "product 99.9 %": float(np.percentile(any_track, 99.9)),
        "product same artist": float(
            np.median(dot_rows(world.embeddings, same, vectors)[same != interests])
        ),
        "artist's tracks": float((sizes**2).sum() / sizes.sum()),
    }


def describe(heard: Heard) -> dict[str, float]:
    """Return figures of some sessions."""
    time, position = heard.time, heard.position
    shares = heard.hundredths[position > 0] / 100.0
    spread, correlation = between_listeners(heard.listener, time)
    _, who = np.unique(heard.listener, return_inverse=True)
    means = np.bincount(who, weights=time) / np.bincount(who)
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
    for number in _POSITIONS:
        at = heard.hundredths[position == number] / 100.0
        found[f"share at {number}"] = at.mean() if len(at) else np.nan
        found[f"skipped at {number}"] = (at < _SKIPPED).mean() if len(at) else np.nan
    for percent in (50, 95, 99):
        found[f"length {percent} %"] = np.percentile(heard.length, percent)
    for percent in (10, 90, 99):
        found[f"listener {percent} %"] = np.percentile(means, percent)
    return {key: float(value) for key, value in found.items()}


def between_listeners(listener: IntArray, time: FloatArray) -> tuple[float, float]:
    """Return the standard deviation of the listeners' means, and its share of a session's variance.

    The analysis of variance's estimates (Searle, Casella and McCulloch, Variance Components, 1992,
    3.6), of sessions (sessions,); the second is the intraclass correlation.
    """
    _, who, counts = np.unique(listener, return_inverse=True, return_counts=True)
    means = np.bincount(who, weights=time) / counts
    groups, total = len(counts), len(time)
    within = float(((time - means[who]) ** 2).sum()) / max(total - groups, 1)
    among = float((counts * (means - time.mean()) ** 2).sum()) / max(groups - 1, 1)
    size = (total - float((counts**2).sum()) / total) / max(groups - 1, 1)
    between = max((among - within) / size, 0.0)
    return between**0.5, between / (between + within) if between + within else float(
        "nan"
    )


def popular_tracks(heard: Heard, tracks: int, count: int) -> IntArray:
    """Return the tracks with the most listening time among those recommended (count,)."""
    recommended = heard.position > 0
    times = np.bincount(
        heard.tracks[recommended],
        weights=heard.hundredths[recommended],
        minlength=tracks,
    )
    return np.argsort(-times, kind="stable")[:count]
