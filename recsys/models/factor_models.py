"""Models that rank by factors, or without looking at the listener."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsParams
from looplib.arrays import Int32Array
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import SplitName
from recsys.dataset.plays import UNKNOWN_ARTIST, find_unplayed, read_artists
from recsys.models.als import Equations, Fit, first_factors, make_equations, sweep
from recsys.models.model import Model, State
from recsys.models.topk import Pool, personal_lists


class Als(Model):
    """Implicit ALS (`recsys.models.als`); the popular tracks for listeners who heard none."""

    name = "als"
    params_type = AlsParams
    main_params = ("factors", "regularization", "alpha")
    takes_sweeps = True
    in_blocks = True

    @cached_property
    def fit(self) -> Fit:
        """The factors of both sides, as another fit left them or the first ones."""
        kept = self._kept
        if kept:
            return Fit(self.sweeps, kept["user_factors"], kept["item_factors"])
        shape = (len(self._dataset.users), len(self._dataset.tracks))
        return first_factors(shape, self._params.factors, self._seed)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """Equations of the listeners and of the tracks; a fit in blocks needs none."""
        data = self._dataset
        side = self._side
        params = self._params
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


def place_unplayed(fit: Fit, dataset: Dataset, side: SplitName) -> Fit:
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
        return self._popular(k, pool)
