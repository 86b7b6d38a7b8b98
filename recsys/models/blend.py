"""A blend of repeats and new tracks, by the probability of being played.

LightGBM ranks candidates: the tracks that a listener has played, and new tracks that are near to
these, follow them, or share an artist or another category, including tracks of the catalogue
without plays. It learns which candidates are among the newest training plays from the plays before,
so it sees nothing that is held out. `looplib.next_play` has the candidates and their features.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.random import Generator
from scipy.sparse import csr_matrix

from looplib.arrays import (
    AnyFloatArray,
    BoolArray,
    Float32Array,
    Int32Array,
    IntArray,
    offsets,
)
from looplib.config import Config
from looplib.next_play import FEATURES, OF_PLAYED, Facts, describe
from looplib.randomness import make_generator
from looplib.trees import Ensemble
from recsys.dataset.dataset import Summary
from recsys.dataset.interactions import Interactions, Plays
from recsys.errors import TrialError
from recsys.models.base import Model
from recsys.models.candidates import fit_trees, gather_facts
from recsys.models.factors import Pool
from recsys.models.sparse import rank_rows, top_neighbours

_NEWEST = 0.2  # share of a listener's plays that is predicted
# Shares of a listener's plays that are cut off for examples; a second share helps tomorrow alone.
_CUTS = {"now": (0.2,), "tomorrow": (0.2, 0.35)}
_GAP = 20  # plays that are over tomorrow
_POWER = 0.3  # power of `top_neighbours`, which normalises closeness
_NEIGHBOURS = 200
_WINDOW = 10  # tracks played at most so far apart are close
_CANDIDATES = 500  # tracks that are considered for a listener
_LEARNED_FROM = 5000  # listeners at most whose newest plays are learned from
_LATEST = 300  # plays whose near tracks and artists' tracks are candidates
_LISTENERS = 1024  # listeners with candidates in memory at once
_HIDDEN = 0.1  # share of the tracks played that are learned from as if nobody had
_NEGATIVES = 0.3  # share of the candidates not played that it learns from
# The first fit the odds, the others the order of a listener's candidates.
_TREES = {"binary": 150, "lambdarank": 20}
_PLAYS = FEATURES.index("plays")
# Few leaves and half of the rows: later plays are hardly predictable, and larger trees learn
# noise.
_PARAMETERS: Mapping[str, Any] = {
    "num_leaves": 8,
    "learning_rate": 0.05,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 40,
}
# bytes of a play, of a track's lists, of each of its features in two copies, and of all examples
_PLAY, _TRACK, _NUMBER, _EXAMPLES = 11, 5500, 8, 400 * 2**20
_FEWEST = 100  # candidates that it learns from
_LEAF = 200  # fewest candidates in a leaf, if there are many


class BlendConfig(Config):
    """The hyperparameters of `Blend`."""

    moment: Literal["now", "tomorrow"] = "tomorrow"
    """the plays to predict: the next, or after the next 20 (or half of the plays it learns from),
    when the running session is over: lists that are made at night are asked for then
    """


class Blend(Model):
    """Rank candidates by the probability that they are played soon."""

    name = "blend"
    needs_order = True
    config: BlendConfig
    ranker: Ensemble
    facts: Facts

    @classmethod
    def estimate_bytes(cls, config: Any, summary: Summary) -> int:  # noqa: ANN401  of its class
        """Estimate the memory: plays in two orders, lists and features of tracks, and examples."""
        track = _TRACK + _NUMBER * summary.numbers
        plays = _PLAY * summary.events + track * summary.tracks
        return super().estimate_bytes(config, summary) + plays + _EXAMPLES

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Learn the odds; see `Model.fit`."""
        super().fit(train, seed=seed, threads=threads)
        plays = self._plays
        self.ranker = self._learn(plays, seed)
        self.facts = self._gather(plays, train.unplayed)
        return self

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the likeliest candidates, then popular tracks where too few are new."""
        model = self if listeners is None else self.narrow(listeners)
        return np.concatenate([part._rank(k, pool) for _, part in model._parts()])

    def recommend_pools(
        self, k: int, listeners: IntArray | None = None
    ) -> dict[Pool, Int32Array]:
        """Recommend from each pool, with the candidates of a listener described once."""
        model = self if listeners is None else self.narrow(listeners)
        pools: tuple[Pool, ...] = get_args(Pool)
        lists = [[part._rank(k, pool) for pool in pools] for _, part in model._parts()]
        whole = map(np.concatenate, zip(*lists, strict=True))
        return dict(zip(pools, whole, strict=True))

    def score(self, places: csr_matrix) -> AnyFloatArray:
        """Look up the log odds of candidates; see `Model.score`."""
        scores = [
            np.ravel(part.scored[0][places[rows].nonzero()])
            for rows, part in self._parts()
        ]
        return np.concatenate(scores)

    @cached_property
    def scored(self) -> tuple[csr_matrix, csr_matrix]:
        """The log odds of each listener's candidates, and 1 for the tracks heard, else 0."""
        plays = self._plays
        rows = np.arange(len(plays.counts))
        is_heard, features = self._describe(plays, self.facts, rows)
        odds = self.ranker.predict(features).astype(np.float32)
        arrays = (odds, is_heard.indices, is_heard.indptr)
        return csr_matrix(arrays, is_heard.shape), is_heard

    @property
    def _plays(self) -> Plays:
        """All plays and skips in their order.

        Raises:
            TrialError: The order is not known.
        """
        return self.train.plays or self.train.ordered_plays

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the candidates, which belong to the interactions."""
        state = super().__getstate__()
        state.pop("scored", None)
        return state

    def _parts(self) -> Iterator[tuple[slice, Self]]:
        """Narrow the model to so few listeners that their candidates fit in memory."""
        count = len(self.train.counts)
        if count <= _LISTENERS:
            yield slice(count), self
            return
        for first in range(0, count, _LISTENERS):
            rows = slice(first, min(first + _LISTENERS, count))
            yield rows, self.narrow(np.arange(rows.start, rows.stop))

    def _rank(self, k: int, pool: Pool) -> Int32Array:
        """Rank the candidates of all listeners; see `recommend`."""
        scores, heard = self.scored
        if pool != "all":
            is_in_pool = (heard.data > 0) == (pool == "repeat")
            indptr = offsets(is_in_pool)[scores.indptr]
            arrays = (scores.data[is_in_pool], scores.indices[is_in_pool], indptr)
            scores = csr_matrix(arrays, scores.shape)
        best = rank_rows(scores, k)
        return best if pool == "repeat" else self.fill_up(best)

    def _learn(self, plays: Plays, seed: int) -> Ensemble:
        """Fit the probability that a candidate is among a listener's newest plays."""
        if plays.counts.max(initial=0) * _NEWEST < 1:
            raise TrialError(
                "no listener has five plays, of which the newest are predicted"
            )
        generator = make_generator(seed, "blend")
        cuts = _CUTS[self.config.moment]
        examples = [self._cut(plays, share, generator) for share in cuts]
        features, is_played, counts = map(np.concatenate, zip(*examples, strict=True))
        if len(features) < _FEWEST or not is_played.any():
            raise TrialError(
                f"{len(features)} candidates to learn from, {is_played.sum()} of them played; "
                f"at least {_FEWEST} and 1 are needed: more listeners or longer histories"
            )

        leaf = min(_LEAF, len(features) // 100)
        parameters = {**_PARAMETERS, "min_data_in_leaf": leaf}
        trees = fit_trees(features, is_played, counts, _TREES, parameters, seed)
        return Ensemble(trees)

    def _cut(
        self, plays: Plays, share: float, generator: Generator
    ) -> tuple[Float32Array, BoolArray, IntArray]:
        """Cut off a share of each listener's plays, the newest, to predict the first of these.

        Returns:
            Features of candidates, whether they were played, and how many each listener has.
        """
        newest = np.floor(share * plays.counts).astype(np.int64)
        after = np.floor((share - _NEWEST) * plays.counts).astype(np.int64)
        predicted = newest - after
        before = plays.cut(newest)
        if self.config.moment == "tomorrow":
            newest -= np.minimum(_GAP, predicted // 2)
        listeners = np.flatnonzero(predicted)
        count = min(len(listeners), _LEARNED_FROM)
        rows = np.sort(generator.choice(listeners, count, replace=False))
        tracks = self.train.features.groups.shape[1]
        is_hidden: BoolArray = generator.random((tracks,)) < _HIDDEN
        played = before.without_skips().tracks
        is_hidden &= np.bincount(played, minlength=tracks) > 0
        facts = self._gather(before, np.flatnonzero(is_hidden))
        candidates, features = self._describe(before, facts, rows)
        is_masked = is_hidden[candidates.indices] & (candidates.data == 0)
        features[np.ix_(is_masked, OF_PLAYED)] = 0
        targets = plays.cut(after, newest, rows).without_skips()
        candidate = candidates.tocoo(copy=False).row.astype(np.int64) * tracks
        is_played = np.isin(
            candidate + candidates.indices, targets.listeners * tracks + targets.tracks
        )
        is_used = is_played | (generator.random(len(is_played)) < _NEGATIVES)
        used = np.bincount(candidates.tocoo(copy=False).row[is_used], minlength=count)
        return features[is_used], is_played[is_used], used

    def _describe(
        self, plays: Plays, facts: Facts, rows: IntArray
    ) -> tuple[csr_matrix, Float32Array]:
        """Describe the candidates of some listeners, in their order.

        Returns:
            1 where the track was heard, else 0, shape (listeners, tracks); and features, shape
                (candidates, features).
        """
        # room for unplayed tracks, too; what is not written takes no memory
        most = 2 * _CANDIDATES * len(rows)
        columns = np.empty(most, np.int32)
        features = np.empty((most, facts.feature_count), np.float32)
        indptr = np.zeros(len(rows) + 1, np.int64)
        for number, row in enumerate(rows):
            candidates, described = describe(
                plays.tracks[plays.indptr[row] : plays.indptr[row + 1]],
                facts,
                latest=_LATEST,
                most=_CANDIDATES,
            )
            order = np.argsort(candidates)
            indptr[number + 1] = indptr[number] + len(order)
            place = slice(*indptr[number : number + 2])
            columns[place] = candidates[order]
            features[place] = described[order]
        features = features[: indptr[-1]]
        is_heard = (features[:, _PLAYS] > 0).astype(np.float32)
        arrays = (is_heard, columns[: indptr[-1]], indptr)
        return csr_matrix(arrays, (len(rows), len(facts.plays))), features

    def _gather(self, plays: Plays, unplayed: IntArray) -> Facts:
        """Gather the facts of tracks from plays of all listeners."""
        features = self.train.features
        played = plays.without_skips()

        def near(backward: float) -> csr_matrix:
            return top_neighbours(
                played.indptr,
                played.tracks,
                features.groups.shape[1],
                _WINDOW,
                _POWER,
                _NEIGHBOURS,
                self.threads,
                backward=backward,
            )

        lists = near(1.0), near(0.0)
        return gather_facts(*lists, plays.tracks, features, unplayed, self.threads)
