"""Learn to rank the next play by all plays up to it, for the service's recommender `live`.

LightGBM's lambdarank learns from single plays among each listener's newest, with closeness of the
plays before these. `looplib.next_play` has the candidates and their features.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import identity

from looplib.arrays import Float32Array, Int32Array
from looplib.memory import MOST_PLAYS
from looplib.next_play import FILE_NAME, LISTS, Facts, Lists, Ranker, describe
from looplib.progress import say
from looplib.randomness import make_generator
from looplib.trees import Ensemble, Trees, read_model
from recsys.models.sparse import nearest, to_lists
from recsys.next_track.model import NextTrackModel, PartWeights
from recsys.next_track.score import HELD_OUT
from recsys.next_track.sessions import Sessions
from recsys.store.ids import Ids

_PREDICTED = 60_000  # plays, at most
_FEWEST = 100
_NEW = 0.25  # share of them that are predicted as of a new listener, too
_NEW_PLAYS = 20  # plays of such a listener, at most
_NEIGHBOURS = 150  # tracks of a list
_WEIGHTS = PartWeights(second=1.0, follows=1.0)
_TREES = 80
_PARAMETERS: Mapping[str, Any] = {
    "objective": "lambdarank",
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 50,
    "lambdarank_truncation_level": 30,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def write_ranker(
    folder: Path,
    before: NextTrackModel,
    model: NextTrackModel,
    tracks: Ids,
    seed: int,
) -> Ranker | None:
    """Learn a ranker from sessions, and write it to a folder.

    Args:
        folder: Of the version.
        before: Fitted to the older sessions; those after them are predicted.
        model: Fitted to all.
        tracks: The ids that came in.
        seed: Decides which plays are predicted.

    Returns:
        The ranker; None where there are too few plays to learn from.
    """
    trees = _learn(model.sessions, gather_facts(before), seed)
    if trees is None:
        say(f"live is left out: fewer than {_FEWEST} next plays can be learned from")
        return None
    facts = gather_facts(model)
    arrays = {"tracks": tracks, "artists": facts.artists, "plays": facts.plays}
    for name in LISTS:
        lists: Lists = getattr(facts, name)
        arrays[f"{name}_counts"] = lists.ends - lists.starts
        arrays[f"{name}_tracks"] = lists.tracks
        arrays[f"{name}_values"] = lists.values
    np.savez(folder / FILE_NAME, allow_pickle=False, **arrays, **trees._asdict())
    return Ranker(facts, Ensemble(trees))


def gather_facts(model: NextTrackModel) -> Facts:
    """Gather what a model knows of the tracks."""
    near, follows = model.combine(_WEIGHTS)
    itself = identity(near.shape[0], format="csr")
    near = nearest(near, itself, _NEIGHBOURS, model.threads)
    plays = np.bincount(model.sessions.tracks, minlength=len(model.artists))
    counts = plays.astype(np.float64)
    return Facts(to_lists(near), to_lists(follows), model.artists, counts)


def _learn(sessions: Sessions, facts: Facts, seed: int) -> Trees | None:
    """Learn to rank the newest plays of each listener; None where they are too few."""
    import lightgbm  # takes a second

    generator = make_generator(seed, "live")
    features: list[Float32Array] = []
    targets = []
    for history, target in _sample(sessions, generator):
        candidates, described = describe(history, facts, history[-1:].tolist())
        is_target = candidates == target
        if is_target.any():
            features.append(described)
            targets.append(is_target)
    if len(features) < _FEWEST:
        return None
    data = lightgbm.Dataset(
        np.concatenate(features),
        np.concatenate(targets),
        group=[len(described) for described in features],
    )
    trained = lightgbm.train({**_PARAMETERS, "seed": seed}, data, _TREES)
    return read_model(trained.dump_model())


def _sample(
    sessions: Sessions, generator: np.random.Generator
) -> Iterator[tuple[Int32Array, int]]:
    """Sample newest plays that continue a session: the plays before, and the track."""
    plays = sessions.plays
    is_next = sessions.mark_newest(HELD_OUT)
    is_next[sessions.indptr[:-1]] = False
    is_next[1:] &= plays.tracks[1:] != plays.tracks[:-1]
    predicted = np.flatnonzero(is_next)
    count = min(len(predicted), _PREDICTED)
    starts = plays.indptr[plays.listeners]
    for play in np.sort(generator.choice(predicted, count, replace=False)).tolist():
        history = plays.tracks[max(starts[play], play - MOST_PLAYS) : play]
        target = int(plays.tracks[play])
        yield history, target
        if generator.random() < _NEW:
            most = int(generator.integers(1, _NEW_PLAYS, endpoint=True))
            yield history[-most:], target
