"""Sessions under way: the listening model's state, many sessions side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from looplib.arrays import BoolArray, FloatArray, Int32Array, IntArray
from sim.listening import hashes
from sim.listening.response import (
    dot_rows,
    in_hundredths,
    is_bored,
    mean_share,
    raw_share,
)
from sim.worlds.files import World
from sim.worlds.neighbours import nearest_tracks

# recommended tracks; a world where nobody is ever bored would fill the memory
LONGEST_SESSION = 1000

_NOBODY = -1  # fills the history behind a session's last track
_CAPACITY = 16  # tracks of a session, at first


@dataclass(frozen=True)
class ListeningModel:
    """A world with the tracks nearest to each interest, ready for sessions."""

    world: World
    nearest: IntArray  # (interests of all listeners, most neighbours)
    interests: IntArray  # (listeners,) how many each has
    # (listeners,) how many tracks around an interest can be organic
    neighbours: IntArray


@dataclass(frozen=True)
class Starts:
    """How sessions begin."""

    listener: IntArray  # (sessions,)
    position: IntArray  # (sessions,) where in the world's interests the session's is
    organic: IntArray  # (sessions,) the track that the listener chooses


def make_model(world: World) -> ListeningModel:
    """Find the tracks nearest to every interest, which takes seconds in a large world."""
    count = min(int(world.interest_neighbours.max()), world.tracks)
    nearest = nearest_tracks(
        world.embeddings,
        world.interests,
        count,
        by_inner_product=world.response.organic_metric == "inner_product",
    )
    return ListeningModel(
        world,
        nearest=nearest,
        interests=np.diff(world.interest_offsets),
        neighbours=np.minimum(world.interest_neighbours, count),
    )


def draw_starts(model: ListeningModel, listeners: IntArray, rng: Generator) -> Starts:
    """Draw an interest of each listener and a track near it."""
    interest = rng.integers(0, model.interests[listeners])
    near = rng.integers(0, model.neighbours[listeners])
    repeats = model.world.response.repeats
    is_repeat = rng.random(len(listeners)) < repeats if repeats else False
    return make_starts(model, listeners, interest, near, is_repeat)


def make_starts(
    model: ListeningModel,
    listeners: IntArray,
    interest: IntArray,
    near: IntArray,
    is_repeat: BoolArray | bool,
) -> Starts:
    """Return the starts; a repeat opens with the first interest's nearest track."""
    interest = np.where(is_repeat, 0, interest)
    near = np.where(is_repeat, 0, near)
    position = model.world.interest_offsets[listeners] + interest
    return Starts(listeners, position, model.nearest[position, near])


def idiosyncrasies(
    world: World, listeners: IntArray, tracks: IntArray
) -> FloatArray | float:
    """Compute what each pair of listener and track adds to the logit; both are broadcast."""
    sigma = world.response.idiosyncrasy
    if not sigma:
        return 0.0
    bits = hashes.pair_bits(world.seed, listeners, tracks)
    return sigma * hashes.normals(bits, 0)


class Sessions:
    """Sessions side by side, from their organic tracks on; one session is a batch of one."""

    def __init__(self, model: ListeningModel, count: int) -> None:
        """Make room for some sessions, none of which has begun: all are over."""
        self.world = model.world
        self.listener = np.zeros(count, dtype=np.int64)
        self.budget = np.zeros(count, dtype=np.int64)  # what is left; 0: over
        self.length = np.zeros(count, dtype=np.int64)  # tracks played
        # the listening time in hundredths, organic tracks included
        self.total_hundredths = np.zeros(count, dtype=np.int64)
        # the session's interest in the world's interests
        self._position = np.zeros(count, dtype=np.int64)
        # (capacity, sessions) in playing order; entries behind a session's last track are unused
        self.tracks = np.full((_CAPACITY, count), _NOBODY, dtype=np.int32)
        self.hundredths = np.zeros((_CAPACITY, count), dtype=np.uint8)

    @property
    def interest(self) -> IntArray:
        """The track that is each session's interest."""
        return self.world.interests[self._position]

    def start(self, rows: IntArray, starts: Starts) -> None:
        """Start sessions in these rows, whose earlier sessions are overwritten."""
        longest = int(self.length[rows].max(initial=0))
        self.tracks[:longest, rows] = _NOBODY
        self.listener[rows] = starts.listener
        self._position[rows] = starts.position
        self.budget[rows] = self.world.session_budget[starts.listener]
        self.length[rows] = self.total_hundredths[rows] = 0
        self._append(rows, starts.organic, np.full(len(rows), 100))

    def under_way(self) -> IntArray:
        """Return the sessions that are not over, ascending."""
        return np.flatnonzero(self.budget > 0)

    def is_played(self) -> BoolArray:
        """Return where the tables of tracks and shares hold a track (longest, sessions)."""
        return np.arange(self.length.max())[:, None] < self.length

    def last_tracks(self, rows: IntArray) -> IntArray:
        """Return the track played last in each of these sessions."""
        return self.tracks[self.length[rows] - 1, rows].astype(np.int64)

    def last_hundredths(self, rows: IntArray) -> IntArray:
        """Return the share heard, in hundredths, of each session's last track."""
        return self.hundredths[self.length[rows] - 1, rows].astype(np.int64)

    def played(self, row: int) -> IntArray:
        """Return the tracks of one session in playing order."""
        return self.tracks[: self.length[row], row].astype(np.int64)

    def hear(self, rows: IntArray, tracks: IntArray, uniform: FloatArray) -> IntArray:
        """Play a recommended track in each of these sessions and let their budgets drop.

        Args:
            rows: Different sessions, none of them over, ascending.
            tracks: A track for each.
            uniform: A draw from [0, 1) for each, which decides on boredom.

        Returns:
            The shares heard, in hundredths.
        """
        heard = self._shares(rows, tracks)
        self._append(rows, tracks, heard)
        self.budget[rows] -= is_bored(heard, uniform)
        return heard

    def _shares(self, rows: IntArray, tracks: IntArray) -> IntArray:
        world = self.world
        response = world.response
        listener = self.listener[rows]
        longest = int(self.length[rows].max(initial=0))
        artist_plays = self._count_like(world.artist, rows, tracks)
        is_repeated = _count_equal(self.tracks[:longest], rows, tracks) > 0
        wanted = world.embeddings[world.interests[self._position[rows]]]
        raw = raw_share(
            dot_rows(world.embeddings, tracks, wanted.astype(np.float64)),
            world.consume_bias[listener],
            world.consume_sharpness[listener],
            idiosyncrasies(world, listener, tracks),
        )
        share = mean_share(
            raw,
            world.gamma[listener],
            artist_plays,
            response.tiredness,
            recommended=self.length[rows] - 1,
        )
        return in_hundredths(share, is_repeated)

    def _count_like(
        self, kinds: IntArray, rows: IntArray, tracks: IntArray
    ) -> IntArray:
        """Count the earlier tracks of each session that are of the same kind as its next one."""
        history = self.tracks[: int(self.length[rows].max(initial=0))]
        seen = np.where(history == _NOBODY, _NOBODY, kinds[history])
        return _count_equal(seen, rows, kinds[tracks])

    def _append(self, rows: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        position = self.length[rows]
        if position.max(initial=0) == len(self.tracks):
            more = ((0, len(self.tracks)), (0, 0))
            self.tracks = np.pad(self.tracks, more, constant_values=_NOBODY)
            self.hundredths = np.pad(self.hundredths, more)
        self.tracks[position, rows] = tracks
        self.hundredths[position, rows] = hundredths
        self.length[rows] += 1
        self.total_hundredths[rows] += hundredths


def start_sessions(
    model: ListeningModel, listeners: IntArray, rng: Generator
) -> Sessions:
    """Start a session of each of these listeners and play its organic track."""
    sessions = Sessions(model, len(listeners))
    starts = draw_starts(model, listeners, rng)
    sessions.start(np.arange(len(listeners)), starts)
    return sessions


def _count_equal(history: Int32Array, rows: IntArray, values: IntArray) -> IntArray:
    """Count how often the history of each of these sessions holds a value of its own."""
    is_equal = history.take(rows, axis=1) == values.astype(np.int32)
    counts: IntArray = is_equal.sum(axis=0, dtype=np.int16).astype(np.int64)
    return counts
