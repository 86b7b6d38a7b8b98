"""A blend of what is played again and of what is new, by the probability of being played.

LightGBM ranks candidates: the tracks that a listener has played, and new ones that are near to
these, follow them, or are by the same artists, also those of the catalogue that nobody has played.
It learns which candidates are among the newest plays from the plays before them, all of training,
so nothing that is held out is seen. `looplib.ranker` has the candidates and their features.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from annotated_types import Ge
from scipy.sparse import csr_matrix, vstack

from looplib.arrays import (
    BoolArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
    offsets,
)
from looplib.config import Config, Count
from looplib.randomness import make_generator
from looplib.ranker import Rows, TrackFacts, describe
from recsys.dataset.interactions import UNKNOWN_ARTIST, Interactions, Plays
from recsys.errors import TrialError
from recsys.models.base import Model
from recsys.models.factors import Pool
from recsys.models.sparse import rank_rows, top_neighbours

if TYPE_CHECKING:
    from lightgbm import Booster

_NEWEST = 0.2  # share of a listener's plays that is predicted from those before
_GAP = 20  # plays that are over tomorrow
_POWER = 0.3  # of the normalisation of closeness, see `top_neighbours`
_NEIGHBOURS = 200
_LISTENERS = 1024  # whose candidates are in memory at once
_NEGATIVES = 0.3  # share of the candidates not played that it learns from
_TREES = 120
_PARAMETERS = {
    "objective": "binary",
    "num_leaves": 31,
    "learning_rate": 0.07,
    "min_data_in_leaf": 50,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


class BlendConfig(Config):
    """The hyperparameters of `Blend`."""

    moment: Literal["now", "tomorrow"] = "tomorrow"
    """what it learns to predict: the next plays, or those after the next 20, when the running
    session is over: lists that are made at night are asked for then"""
    window: Count = 10
    """tracks played at most so far apart are close"""
    candidates: Count = 150
    """new tracks that are considered, from each source"""
    learned_from: Annotated[int, Ge(100)] = 5000
    """listeners whose newest plays it learns from, at most"""


class Blend(Model):
    """Rank candidates by the probability that they are played soon."""

    name = "blend"
    needs_order = True
    config: BlendConfig
    scores: csr_matrix  # log odds of the candidates of each listener
    heard: csr_matrix  # 1 where such a candidate was heard, else 0

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Learn the odds, and score the candidates of all listeners; see `Model.fit`."""
        super().fit(train, seed=seed, threads=threads)
        plays = train.ordered_plays
        ranker = self._learn(plays, seed)
        facts = self._gather(plays, train.unplayed)
        scores = []
        heard = []
        listeners = np.arange(len(plays.counts))
        for rows in np.split(listeners, range(_LISTENERS, len(listeners), _LISTENERS)):
            is_heard, features = self._describe(plays, facts, rows)
            odds = ranker.predict(features, raw_score=True, num_threads=threads)
            heard.append(is_heard)
            arrays = (np.float32(odds), is_heard.indices, is_heard.indptr)
            scores.append(csr_matrix(arrays, is_heard.shape))
        self.scores = vstack(scores, "csr")
        self.heard = vstack(heard, "csr")
        return self

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Recommend the likeliest candidates, then popular tracks where too few are new."""
        scores = self.scores
        if pool != "all":
            is_in_pool = (self.heard.data > 0) == (pool == "repeat")
            indptr = offsets(is_in_pool)[scores.indptr]
            arrays = (scores.data[is_in_pool], scores.indices[is_in_pool], indptr)
            scores = csr_matrix(arrays, scores.shape)
        best = rank_rows(scores, k)
        return best if pool == "repeat" else self.fill_up(best)

    def _learn(self, plays: Plays, seed: int) -> "Booster":
        """Fit the probability that a candidate is among a listener's newest plays."""
        newest = np.floor(_NEWEST * plays.counts).astype(np.int64)
        is_newest = plays.age <= np.repeat(newest, plays.counts)
        before = plays.select(~is_newest)
        gap = _GAP if self.config.moment == "tomorrow" else 0
        is_target = plays.age <= np.repeat(newest - gap, plays.counts)
        targets = plays.select(is_target)
        listeners = np.flatnonzero(targets.counts)
        if not len(listeners):
            raise TrialError(
                f"no listener has {5 * (gap + 1)} plays, of which the newest are predicted"
            )
        generator = make_generator(seed, "blend")
        count = min(len(listeners), self.config.learned_from)
        rows = np.sort(generator.choice(listeners, count, replace=False))
        facts = self._gather(before, np.empty(0, np.int64))
        candidates, features = self._describe(before, facts, rows)
        tracks = candidates.shape[1]
        candidate = np.repeat(rows, np.diff(candidates.indptr)) * tracks
        is_played = np.isin(
            candidate + candidates.indices, targets.listeners * tracks + targets.tracks
        )
        is_used = is_played | (generator.random(len(is_played)) < _NEGATIVES)
        return _boost(features[is_used], is_played[is_used], seed, self.threads)

    def _describe(
        self, plays: Plays, facts: TrackFacts, rows: IntArray
    ) -> tuple[csr_matrix, Float32Array]:
        """Describe the candidates of some listeners, one after the other.

        Returns:
            1 where the track was heard, else 0, shape (listeners, tracks); and features, shape
                (candidates, features).
        """
        columns = []
        features = []
        is_heard = []
        for row in rows:
            history = plays.tracks[plays.indptr[row] : plays.indptr[row + 1]]
            candidates, described, heard = describe(
                history, facts, self.config.candidates
            )
            columns.append(candidates)
            features.append(described)
            is_heard.append(np.arange(len(candidates)) < heard)
        indptr = offsets(np.array([len(candidates) for candidates in columns]))
        arrays = (
            np.concatenate(is_heard).astype(np.float32),
            np.concatenate(columns).astype(np.int32),
            indptr,
        )
        shape = (len(rows), len(facts.artists))
        return csr_matrix(arrays, shape), np.concatenate(features)

    def _gather(self, plays: Plays, unplayed: IntArray) -> TrackFacts:
        """Gather what is known of the tracks from plays of all listeners."""
        artists = self.train.artists
        tracks = len(artists)
        # a track of no artist is alone
        alone = artists.max(initial=-1) + 1 + np.arange(tracks, dtype=np.int32)
        artists = np.where(artists == UNKNOWN_ARTIST, alone, artists)
        counts = np.bincount(plays.tracks, minlength=tracks).astype(np.float64)

        def by_artist(columns: IntArray, values: FloatArray) -> Rows:
            """Arrange values of tracks, shape (artists, tracks)."""
            shape = (int(artists.max(initial=0)) + 1, tracks)
            matrix = csr_matrix((values, (artists[columns], columns)), shape)
            return _rows(matrix)

        def near(backward: float) -> Rows:
            return _rows(
                top_neighbours(
                    plays.indptr,
                    plays.tracks,
                    tracks,
                    self.config.window,
                    _POWER,
                    _NEIGHBOURS,
                    self.threads,
                    backward=backward,
                )
            )

        return TrackFacts(
            near(1.0),
            near(0.0),
            by_artist(np.arange(tracks), counts),
            by_artist(unplayed, np.ones(len(unplayed))),
            artists,
            counts,
            np.bincount(artists, counts)[artists],
        )


def _rows(matrix: csr_matrix) -> Rows:
    return Rows(matrix.indptr.astype(np.int64), matrix.indices, matrix.data)


def _boost(
    features: Float32Array, is_true: BoolArray, seed: int, threads: int
) -> "Booster":
    """Fit trees to the odds; threads change no result."""
    import lightgbm  # takes a second

    parameters = {**_PARAMETERS, "seed": seed, "num_threads": threads}
    data = lightgbm.Dataset(features, is_true)
    return lightgbm.train(parameters, data, _TREES)
