"""Sessions under way: the listening model's state, many sessions side by side; one session is a batch of one."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from looplib.arrays import BoolArray, FloatArray, Int32Array, IntArray, WordArray
from sim.listening import hashes
from sim.listening.response import (
    dot_rows,
    in_hundredths,
    is_bored,
    mean_share,
    raw_share,
    scale_below,
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
    neighbours: (
        IntArray  # (listeners,) how many tracks around an interest can be organic
    )
    # (interests of all listeners,) running sum of their probabilities, 1 for each listener; None:
    # all equally likely
    cumulative: FloatArray | None


@dataclass(frozen=True)
class Starts:
    """How sessions begin."""

    listener: IntArray  # (sessions,)
    position: IntArray  # (sessions,) where in the world's interests the session's is
    organic: IntArray  # (sessions,) the track that the listener chooses


def make_model(world: World) -> ListeningModel:
    """Find the tracks nearest to every interest: seconds for tens of thousands of interests and tracks."""
    count = min(int(world.interest_neighbours.max()), world.tracks)
    by_inner_product = world.response.organic_metric == "inner_product"
    counts, weights = np.diff(world.interest_offsets), world.interest_weights
    if weights is not None:
        totals = np.add.reduceat(weights, world.interest_offsets[:-1])
        weights = np.cumsum(weights / np.repeat(totals, counts))
    return ListeningModel(
        world,
        nearest=nearest_tracks(
            world.embeddings, world.interests, count, by_inner_product=by_inner_product
        ),
        interests=counts,
        neighbours=np.minimum(world.interest_neighbours, count),
        cumulative=weights,
    )


def draw_starts(
    model: ListeningModel, listeners: IntArray, rng: np.random.Generator
) -> Starts:
    """Draw an interest of each listener and a track near it."""
    if model.cumulative is None:
        which = rng.integers(0, model.interests[listeners])
    else:
        which = _choose_interests(model, listeners, rng.random(len(listeners)))
    near = rng.integers(0, model.neighbours[listeners])
    repeats = model.world.response.repeats
    return _starts(
        model,
        listeners,
        which,
        near,
        comes_back=rng.random(len(listeners)) < repeats if repeats else None,
    )


def scale_starts(
    model: ListeningModel, listeners: IntArray, uniform: FloatArray
) -> Starts:
    """Choose an interest of each listener and a track near it by draws (2, sessions) from [0, 1)."""
    which = _choose_interests(model, listeners, uniform[0])
    near = scale_below(model.neighbours[listeners], uniform[1])
    comes_back = (
        hashes.uniforms(hashes.bits_of(uniform[0]), hashes.RETURN)
        < model.world.response.repeats
    )
    return _starts(model, listeners, which, near, comes_back)


def _choose_interests(
    model: ListeningModel, listeners: IntArray, uniform: FloatArray
) -> IntArray:
    """Turn a draw from [0, 1) into which of its listener's interests a session has."""
    limits = model.interests[listeners]
    if model.cumulative is None:
        return scale_below(limits, uniform)
    position = np.searchsorted(model.cumulative, listeners + uniform, side="right")
    chosen: IntArray = np.clip(
        position - model.world.interest_offsets[listeners], 0, limits - 1
    )
    return chosen


def _starts(
    model: ListeningModel,
    listeners: IntArray,
    which: IntArray,
    near: IntArray,
    comes_back: BoolArray | None,
) -> Starts:
    if comes_back is not None:
        which, near = np.where(comes_back, 0, (which, near))
    position = model.world.interest_offsets[listeners] + which
    return Starts(listeners, position, model.nearest[position, near])


def own_logits(
    world: World, listeners: IntArray, tracks: IntArray
) -> FloatArray | float:
    """Return what only this listener hears in this track, for each pair of the two, which are broadcast."""
    if not world.response.idiosyncrasy:
        return 0.0
    return world.response.idiosyncrasy * hashes.normals(
        hashes.pair_bits(world.seed, listeners, tracks), 0
    )


class Sessions:
    """Sessions side by side, from their organic tracks on."""

    def __init__(
        self, model: ListeningModel, listeners: IntArray, rng: np.random.Generator
    ) -> None:
        """Start a session of each of these listeners and play its organic track."""
        self._make_room(model, len(listeners))
        self.start(np.arange(len(listeners)), draw_starts(model, listeners, rng))

    @classmethod
    def none(cls, model: ListeningModel, count: int) -> Self:
        """Make room for some sessions, none of which has begun: all are over."""
        sessions = cls.__new__(cls)
        sessions._make_room(model, count)
        return sessions

    def start(self, rows: IntArray, starts: Starts) -> None:
        """Start sessions in the rows of others, which are overwritten, and play their organic tracks."""
        longest = int(self.length[rows].max(initial=0))
        self.tracks[:longest, rows] = _NOBODY
        self.artists[:longest, rows] = _NOBODY
        self.listener[rows] = starts.listener
        self._set_interest(rows, starts.position)
        self.budget[rows] = self.world.session_budget[starts.listener]
        self.length[rows] = 0
        self._append(rows, starts.organic, np.full(len(rows), 100))

    def under_way(self) -> IntArray:
        """Return the sessions that are not over, ascending."""
        return np.flatnonzero(self.budget > 0)

    def is_played(self) -> BoolArray:
        """Return where the tables of tracks and shares hold a track of a session (longest, sessions)."""
        return np.arange(self.length.max())[:, None] < self.length

    def last_tracks(self, rows: IntArray) -> IntArray:
        """Return the track played last in each of these sessions."""
        return self.tracks[self.length[rows] - 1, rows].astype(np.int64)

    def last_hundredths(self, rows: IntArray) -> IntArray:
        """Return the share heard of the track played last in each of these sessions, in hundredths."""
        return self.hundredths[self.length[rows] - 1, rows].astype(np.int64)

    def played(self, row: int) -> IntArray:
        """Return the tracks of one session in playing order."""
        return self.tracks[: self.length[row], row].astype(np.int64)

    def heard_of(self, row: int) -> IntArray:
        """Return the shares heard of one session's tracks, in hundredths."""
        return self.hundredths[: self.length[row], row].astype(np.int64)

    def total_hundredths(self, rows: IntArray) -> IntArray:
        """Return the listening time of each of these sessions so far, in hundredths, organic tracks included."""
        is_played = np.arange(len(self.hundredths))[:, None] < self.length[rows]
        totals: IntArray = self.hundredths[:, rows].sum(
            axis=0, dtype=np.int64, where=is_played
        )
        return totals

    def hear(self, rows: IntArray, tracks: IntArray, uniform: FloatArray) -> IntArray:
        """Play a recommended track in each of these sessions, let their budgets drop, and return hundredths heard.

        `rows` are different sessions, none of them over, ascending; `uniform` is a draw from [0, 1)
        for each, which decides on boredom, and from whose bits all else that is random follows.
        """
        bits = hashes.bits_of(uniform)
        self._change_interests(rows, bits)
        heard = self._shares(rows, tracks, bits)
        self._append(rows, tracks, heard)
        self.budget[rows] -= is_bored(heard, uniform)
        return heard

    def _make_room(self, model: ListeningModel, count: int) -> None:
        self.world = model.world
        # (sessions,): ids, the track that is the interest, what is left of the budget (0: over),
        # tracks played
        self.listener, self.interest, self.budget, self.length = np.zeros(
            (4, count), dtype=np.int64
        )
        self._position = np.zeros(
            count, dtype=np.int64
        )  # of the interest, in the world's
        # (capacity, sessions) in playing order; what lies behind a session's last track means
        # nothing
        self.tracks = np.full((_CAPACITY, count), _NOBODY, dtype=np.int32)
        self.artists = np.full((_CAPACITY, count), _NOBODY, dtype=np.int32)
        self.hundredths = np.zeros((_CAPACITY, count), dtype=np.uint8)
        # the embeddings of the interests
        self._wanted = np.zeros((count, model.world.embeddings.shape[1]))

    def _set_interest(self, rows: IntArray, position: IntArray) -> None:
        self._position[rows] = position
        self.interest[rows] = self.world.interests[position]
        self._wanted[rows] = self.world.embeddings[self.interest[rows]]

    def _change_interests(self, rows: IntArray, bits: WordArray) -> None:
        """Give some sessions another interest of their listener's, if there is one."""
        probability = self.world.response.interest_change
        if not probability:
            return
        changed = hashes.uniforms(bits, hashes.CHANGE) < probability
        rows, bits = rows[changed], bits[changed]
        first, end = self.world.interest_offsets[
            self.listener[rows] + np.arange(2)[:, None]
        ]
        others = scale_below(
            np.maximum(end - first - 1, 1), hashes.uniforms(bits, hashes.WHICH_CHANGE)
        )
        self._set_interest(
            rows, first + (self._position[rows] - first + 1 + others) % (end - first)
        )

    def _shares(self, rows: IntArray, tracks: IntArray, bits: WordArray) -> IntArray:
        world, response = self.world, self.world.response
        who = self.listener[rows]
        longest = int(self.length[rows].max(initial=0))
        plays = _count_equal(self.artists[:longest], rows, world.artist[tracks])
        repeated = _count_equal(self.tracks[:longest], rows, tracks) > 0
        wanted = (
            self._wanted
            if len(rows) == len(self._wanted)
            else self._wanted.take(rows, axis=0)
        )
        dot = dot_rows(world.embeddings, tracks, wanted)
        raw = raw_share(
            dot,
            world.consume_bias[who],
            world.consume_sharpness[who],
            own_logits(world, who, tracks),
        )
        share = mean_share(
            raw, world.gamma[who], plays, response.tiredness, self.length[rows] - 1
        )
        if response.noise is not None:
            share = hashes.betas(share, response.noise, bits)
        return in_hundredths(share, repeated)

    def _append(self, rows: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        position = self.length[rows]
        if position.max(initial=0) == len(self.tracks):
            more = ((0, len(self.tracks)), (0, 0))
            self.tracks, self.artists = (
                np.pad(old, more, constant_values=_NOBODY)
                for old in (self.tracks, self.artists)
            )
            self.hundredths = np.pad(self.hundredths, more)
        self.tracks[position, rows] = tracks
        self.artists[position, rows] = self.world.artist[tracks]
        self.hundredths[position, rows] = hundredths
        self.length[rows] += 1


def _count_equal(history: Int32Array, rows: IntArray, values: IntArray) -> IntArray:
    """Count how often the history of each of some sessions holds a value of its own."""
    seen = history if len(rows) == history.shape[1] else history.take(rows, axis=1)
    counts: IntArray = (
        (seen == values.astype(np.int32)).sum(axis=0, dtype=np.int16).astype(np.int64)
    )
    return counts
