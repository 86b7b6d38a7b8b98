"""Models that rank by factors, or without looking at the listener."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsParams
from looplib.arrays import Int32Array
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, Side
from recsys.dataset.plays import UNKNOWN_ARTIST, find_unplayed, read_artists
from recsys.models.als import Equations, Fit, first_factors, make_equations, sweep
from recsys.models.model import Model, State
from recsys.models.sparse import rank_rows
from recsys.models.topk import NO_TRACK, Pool, heard_tracks, personal_lists, popular_fit


class Als(Model):
    """Implicit ALS (`recsys.models.als`); the popular tracks for listeners who heard none."""

    name = "als"
    params_type = AlsParams
    main_params = ("factors", "regularization", "alpha")
    in_blocks = True
    fit: Fit

    def __init__(
        self,
        dataset: Dataset,
        side: Side,
        params: AlsParams,
        seed: int,
        threads: int,
        kept: State | None = None,
    ) -> None:
        """Take over the factors of both sides, or draw the first ones."""
        super().__init__(dataset, side, params, seed, threads, kept)
        if kept:
            self.fit = Fit(self.sweeps, kept["user_factors"], kept["item_factors"])
        else:
            shape = (len(dataset.users), len(dataset.tracks))
            self.fit = first_factors(shape, params.factors, seed)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """Equations of the listeners and of the tracks.

        A fit in blocks, which may have more interactions than a matrix can hold, needs none.
        """
        data, side, params = self._dataset, self._side, self._params
        tracks = int(np.count_nonzero(data.popularity(side)))
        listeners = int(np.count_nonzero(data.counts(side)))
        return (
            make_equations(data.matrix(side), params, tracks),
            make_equations(data.by_track(side), params, listeners),
        )

    def sweep(self, count: int) -> None:
        """Solve both sides `count` times more."""
        for _ in range(count):
            sweep(self.fit, *self._equations, self._threads)
        self.sweeps = self.fit.sweeps

    def state(self) -> State:
        """Return the factors of both sides."""
        return vars(self.fit)

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the tracks with the largest products of factors."""
        fit = place_unplayed(self.fit, self._dataset, self._side)
        return personal_lists(fit, self._dataset, self._side, k, self._threads, pool)


def place_unplayed(fit: Fit, dataset: Dataset, side: Side) -> Fit:
    """Give tracks that nobody has played the mean factors of their artists' tracks."""
    unplayed = find_unplayed(dataset)
    if not len(unplayed):
        return fit
    artists = read_artists(dataset)
    has_plays = (artists != UNKNOWN_ARTIST) & (dataset.popularity(side) > 0)
    played = np.flatnonzero(has_plays)
    places = (artists[played], played)
    shape = (int(artists.max()) + 1, len(artists))
    is_by = csr_matrix((np.ones(len(played), np.float32), places), shape)
    tracks = np.maximum(is_by.getnnz(axis=1), 1)
    means = is_by @ fit.item_factors / tracks[:, np.newaxis]
    item_factors = fit.item_factors.copy()
    item_factors[unplayed] = means[artists[unplayed]]
    return replace(fit, item_factors=item_factors)


class Popular(Model):
    """The tracks with the most listening time, for everybody."""

    name = "popular"
    is_baseline = True

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the same list for each listener, but for what is not in the pool."""
        fit = popular_fit(self._dataset, self._side)
        return personal_lists(fit, self._dataset, self._side, k, self._threads, pool)


class Random(Model):
    """Distinct tracks drawn at random."""

    name = "random"
    is_baseline = True

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return lists of distinct tracks, each equally likely."""
        data = self._dataset
        generator = make_generator(self._seed, "random baseline")
        if pool == "heard":
            heard = heard_tracks(data, self._side)
            heard.data = generator.random(heard.nnz)
            return rank_rows(heard, k)
        drawn = 2 * k if pool == "new" else k
        lists = random_lists(len(data.users), len(data.tracks), drawn, generator)
        if pool == "all":
            return lists
        for first, last in data.ranges(self._side):
            seen = data.matrix(self._side, first, last)
            lists[first:last] = unseen_first(lists[first:last], seen)
        return lists[:, :k]


def random_lists(
    listeners: int, tracks: int, k: int, generator: np.random.Generator
) -> Int32Array:
    """Draw distinct tracks for each listener, shape (listeners, min(k, tracks)).

    A list is what follows a random position in one random order of all tracks: at each rank, every
    track is equally likely, and listeners are independent given the order.
    """
    order = generator.permutation(tracks).astype(np.int32)
    start = generator.integers(tracks, size=(listeners, 1))
    position = start + np.arange(min(k, tracks))
    lists: Int32Array = order[position % tracks]
    return lists


def unseen_first(lists: Int32Array, seen: csr_matrix) -> Int32Array:
    """Leave out tracks that a listener has a value for; lists get `NO_TRACK` at their ends."""
    listener = np.arange(len(lists))[:, None]
    is_seen = csr_matrix(seen[listener, lists]).toarray() != 0
    order = np.argsort(is_seen, axis=1, kind="stable")
    kept = np.where(is_seen, np.int32(NO_TRACK), lists)
    return np.take_along_axis(kept, order, axis=1)
