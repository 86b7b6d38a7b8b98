"""Gather facts of tracks, and fit the trees that rank candidates for the next play.

Both the model `Blend` and the ranker of the service's recommender `live` use them, with their own
closeness of tracks and their own examples. `looplib.next_play` has the candidates and their
features.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyIntArray, BoolArray, Float32Array, Int32Array, IntArray
from looplib.categories import number_alone
from looplib.memory import turn
from looplib.next_play import NONE, Facts, Lists
from looplib.trees import Trees, read_model
from recsys.dataset.features import Features
from recsys.models.factors import Factors
from recsys.models.sparse import to_lists

_CLOSE = 20  # unplayed tracks by vector

# A single thread is faster than two that wait for each other on a busy machine, and makes the same
# trees on any machine.
_FIXED: Mapping[str, Any] = {
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def gather_facts(
    near: csr_matrix,
    follows: csr_matrix,
    tracks: Int32Array,
    features: Features,
    unplayed: AnyIntArray = NONE,
    threads: int = 1,
) -> Facts:
    """Gather the facts of all tracks.

    Args:
        near: Closeness of tracks, shape (tracks, tracks).
        follows: Closeness of tracks that are played after each, shape (tracks, tracks).
        tracks: Plays and skips by all listeners, shape (plays,).
        features: Artists and other features of the tracks.
        unplayed: Tracks without plays that are candidates.
        threads: Number of threads, which changes no result.
    """
    is_skip = tracks < 0
    plays, skips = (
        np.bincount(part, minlength=near.shape[0]).astype(np.float64)
        for part in (tracks[~is_skip], turn(tracks[is_skip]))
    )
    groups = [number_alone(group) for group in features.split_groups]
    lists = to_lists(near), to_lists(follows)
    points = features.split_points
    close = []
    for vectors in points:
        if vectors.shape[1] > 1 and len(unplayed):
            best, products = Factors(vectors, vectors[unplayed]).rank(_CLOSE, threads)
            starts = np.arange(len(best)) * best.shape[1]
            nearest = unplayed[best].ravel().astype(np.int32)
            values = products.ravel().astype(np.float32)
            close.append(Lists(starts, starts + best.shape[1], nearest, values))
    return Facts(*lists, groups, plays, skips, unplayed, points, close)


def fit_trees(
    features: Float32Array,
    is_played: BoolArray,
    counts: IntArray,
    rounds: Mapping[str, int],
    parameters: Mapping[str, Any],
    seed: int,
) -> Trees:
    """Fit trees to candidates with LightGBM.

    Args:
        features: Features of the candidates, shape (candidates, features).
        is_played: Whether each was played, shape (candidates,).
        counts: Number of candidates of each list, in which they are ranked, shape (lists,).
        rounds: Number of trees by LightGBM's objective; each objective continues the previous.
        parameters: LightGBM's parameters.
        seed: Decides which rows and features a tree sees.
    """
    import lightgbm  # takes a second

    data = lightgbm.Dataset(features, is_played, group=counts, free_raw_data=False)
    fixed = {**_FIXED, **parameters, "seed": seed}
    booster: Any = None
    for objective, trees in rounds.items():
        options = {**fixed, "objective": objective}
        booster = lightgbm.train(options, data, trees, init_model=booster)
    return read_model(booster.dump_model())
