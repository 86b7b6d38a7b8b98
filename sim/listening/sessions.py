"""Sessions under way: the listening model's state, many sessions side by side."""

import numpy as np
from numpy.random import Generator

from looplib.arrays import NO_TRACK, BoolArray, FloatArray, IntArray
from sim.listening import draws
from sim.listening.response import dot_rows, heard_hundredths
from sim.worlds.files import World

# recommended tracks; a world where nobody is ever bored would fill the memory
LONGEST_SESSION = 1000
_CAPACITY = 16  # tracks of a session, at first


class SessionBatch:
    """Sessions side by side, from their organic tracks on."""

    def __init__(self, world: World, size: int) -> None:
        """Make room for some sessions, none of which has begun: all are over."""
        self.world = world
        self.listener = np.zeros(size, dtype=np.int64)
        self.interest = np.zeros(size, dtype=np.int64)  # a track
        self.budget = np.zeros(size, dtype=np.int64)  # budget left; 0: over
        self.length = np.zeros(size, dtype=np.int64)  # tracks played
        # (capacity, sessions) in playing order, and the shares heard of them; a session's entries
        # behind its last track are NO_TRACK and 0
        self.tracks = np.full((_CAPACITY, size), NO_TRACK, dtype=np.int32)
        self.hundredths = np.zeros((_CAPACITY, size), dtype=np.uint8)

    def start(
        self,
        rows: IntArray,
        listeners: IntArray,
        interests: IntArray,
        organic: IntArray,
    ) -> None:
        """Start sessions in these rows, whose earlier sessions are overwritten.

        Args:
            rows: Different sessions (rows,).
            listeners: Whose they are (rows,).
            interests: The track that is each session's interest (rows,).
            organic: The track that the listener plays first (rows,).
        """
        self.tracks[:, rows] = NO_TRACK
        self.hundredths[:, rows] = 0
        self.listener[rows] = listeners
        self.interest[rows] = interests
        self.budget[rows] = self.world.session_budget[listeners]
        self.length[rows] = 0
        self._append(rows, organic, np.full(len(rows), 100))

    def under_way(self) -> IntArray:
        """List the sessions that are not over, ascending."""
        return np.flatnonzero(self.budget > 0)

    def last(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Read the track played last in each of these sessions, and its share in hundredths."""
        position = self.length[rows] - 1
        tracks, hundredths = (
            self.tracks[position, rows],
            self.hundredths[position, rows],
        )
        return tracks.astype(np.int64), hundredths.astype(np.int64)

    def hear(self, rows: IntArray, tracks: IntArray, uniform: FloatArray) -> IntArray:
        """Play a recommended track in each of these sessions and let their budgets drop.

        Args:
            rows: Different sessions, none of them over, ascending.
            tracks: A track for each.
            uniform: A draw from [0, 1) for each, which decides on boredom.

        Returns:
            The shares heard, in hundredths.
        """
        world, listener, length = self.world, self.listener[rows], self.length[rows]
        product = dot_rows(world.embeddings, tracks, self.interest[rows])
        logit = product - world.consume_bias[listener]
        logit *= world.consume_sharpness[listener]
        if sigma := world.nature.idiosyncrasy:
            logit += sigma * draws.normals(world.seed, listener, tracks)
        history = self.tracks[: length.max(initial=0)].take(rows, axis=1)
        is_same_artist = world.artist[history] == world.artist[tracks]
        artist_plays = (is_same_artist & (history != NO_TRACK)).sum(axis=0)
        hundredths = heard_hundredths(
            logit,
            artist_wear=world.gamma[listener] ** artist_plays,
            session_wear=np.power(1.0 - world.nature.tiredness, length - 1),
            is_repeat=(history == tracks).any(axis=0),
        )
        self._append(rows, tracks, hundredths)
        is_bored = uniform < 1.0 - hundredths / 100.0
        self.budget[rows] -= is_bored
        return hundredths

    def _append(self, rows: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        position = self.length[rows]
        if position.max(initial=0) == len(self.tracks):
            more = ((0, len(self.tracks)), (0, 0))
            self.tracks = np.pad(self.tracks, more, constant_values=NO_TRACK)
            self.hundredths = np.pad(self.hundredths, more)
        self.tracks[position, rows] = tracks
        self.hundredths[position, rows] = hundredths
        self.length[rows] += 1


def start_sessions(world: World, listeners: IntArray, rng: Generator) -> SessionBatch:
    """Start a session of each of these listeners and play its organic track."""
    batch = SessionBatch(world, len(listeners))
    starts = draw_starts(world, listeners, rng)
    batch.start(np.arange(len(listeners)), listeners, *starts)
    return batch


def draw_starts(
    world: World, listeners: IntArray, rng: Generator
) -> tuple[IntArray, IntArray]:
    """Draw an interest of each listener and a track near it.

    Returns:
        Interests and organic tracks, each (listeners,).
    """
    first = world.interest_offsets[listeners]
    position = rng.integers(first, world.interest_offsets[listeners + 1])
    near = rng.integers(0, world.interest_neighbours[listeners])
    repeats = world.nature.repeats
    is_repeat = rng.random(len(listeners)) < repeats if repeats else False
    return find_starts(world, listeners, position, near, is_repeat)


def find_starts(
    world: World,
    listeners: IntArray,
    position: IntArray,
    near: IntArray,
    is_repeat: BoolArray | bool,
) -> tuple[IntArray, IntArray]:
    """Find the tracks with which sessions start.

    Args:
        world: The listeners' world.
        listeners: (sessions,).
        position: Position of the session's interest among the world's interests.
        near: Number of the near track that opens the session, from 0.
        is_repeat: Whether the first interest's nearest track opens the session instead.

    Returns:
        Interests and organic tracks, each (sessions,).
    """
    position = np.where(is_repeat, world.interest_offsets[listeners], position)
    organic = world.nearest[position, np.where(is_repeat, 0, near)]
    return world.interests[position], organic
