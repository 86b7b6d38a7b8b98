"""Sessions under way: the listening model's state, many sessions side by side; one session is a batch of one."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.listening import dot_rows, draw_below, draw_boredom, heard_hundredths, raw_share
from sim.neighbours import nearest_tracks
from sim.worldfiles import World

IntArray = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

_NOBODY = -1  # fills the history behind a session's last track
_FIRST_CAPACITY = 16


@dataclass(frozen=True)
class ListeningModel:
    """A world with the tracks nearest to each interest, ready for sessions."""

    world: World
    nearest: IntArray  # (interests of all listeners, most neighbours)


def make_model(world: World) -> ListeningModel:
    """Finds the tracks nearest to every interest: seconds for tens of thousands of interests and tracks."""
    count = min(int(world.interest_neighbours.max()), world.tracks)
    return ListeningModel(world, nearest_tracks(world.embeddings, world.interests, count))


class Sessions:
    """Sessions side by side, from their organic tracks on.

    Attributes:
        listener: (sessions,) whose session it is.
        interest: (sessions,) the track that is the session's interest.
        budget: (sessions,) what is left of the session budget; the session is over at 0.
        length: (sessions,) tracks played.
        tracks: (capacity, sessions) track ids in playing order, -1 behind the last.
        hundredths: (capacity, sessions) their shares heard.
    """

    def __init__(self, model: ListeningModel, listeners: IntArray, rng: np.random.Generator) -> None:
        """Starts a session of each of these listeners and plays its organic track."""
        world, count = model.world, len(listeners)
        position = draw_below(world.interest_offsets[1:] - world.interest_offsets[:-1], listeners, rng)
        position += world.interest_offsets[listeners]
        neighbours = np.minimum(world.interest_neighbours, model.nearest.shape[1])
        organic = model.nearest[position, draw_below(neighbours, listeners, rng)]
        self.world = world
        self.listener = listeners
        self.interest = world.interests[position]
        self.budget = world.session_budget[listeners].copy()
        self.length = np.zeros(count, dtype=np.int64)
        self.tracks = np.full((_FIRST_CAPACITY, count), _NOBODY, dtype=np.int32)
        self.artists = np.full((_FIRST_CAPACITY, count), _NOBODY, dtype=np.int32)
        self.hundredths = np.zeros((_FIRST_CAPACITY, count), dtype=np.uint8)
        self._append(np.arange(count), organic, np.full(count, 100))

    def under_way(self) -> IntArray:
        """The sessions that are not over, ascending."""
        return np.flatnonzero(self.budget > 0)

    def last_tracks(self, rows: IntArray) -> IntArray:
        """The track played last in each of these sessions."""
        return self.tracks[self.length[rows] - 1, rows].astype(np.int64)

    def played(self, row: int) -> IntArray:
        """The tracks of one session in playing order."""
        return self.tracks[: self.length[row], row].astype(np.int64)

    def hear(self, rows: IntArray, tracks: IntArray, rng: np.random.Generator) -> IntArray:
        """Plays one recommended track in each of these sessions, and lets their budgets drop.

        Args:
            rows: Different sessions, none of them over.
            tracks: The track recommended in each.
            rng: Where boredom comes from.

        Returns:
            The shares heard, in hundredths.
        """
        heard = self._shares(rows, tracks)
        self._append(rows, tracks, heard)
        self.budget[rows] -= draw_boredom(heard, rng)
        return heard

    def _shares(self, rows: IntArray, tracks: IntArray) -> IntArray:
        world, who = self.world, self.listener[rows]
        longest = int(self.length[rows].max(initial=0))
        plays = (self.artists[:longest, rows] == world.artist[tracks]).sum(axis=0)
        repeated = (self.tracks[:longest, rows] == tracks).any(axis=0)
        raw = raw_share(
            dot_rows(world.embeddings, tracks, self.interest[rows]),
            world.consume_bias[who],
            world.consume_sharpness[who],
        )
        return heard_hundredths(raw, world.gamma[who], plays, repeated)

    def _append(self, rows: IntArray, tracks: IntArray, hundredths: IntArray) -> None:
        position = self.length[rows]
        if int(position.max(initial=0)) == len(self.tracks):
            self.tracks, self.artists = (_doubled(table, _NOBODY) for table in (self.tracks, self.artists))
            self.hundredths = _doubled(self.hundredths, 0)
        self.tracks[position, rows] = tracks
        self.artists[position, rows] = self.world.artist[tracks]
        self.hundredths[position, rows] = hundredths
        self.length[rows] += 1


def _doubled(table: npt.NDArray[Scalar], fill: int) -> npt.NDArray[Scalar]:
    return np.concatenate([table, np.full_like(table, fill)])
