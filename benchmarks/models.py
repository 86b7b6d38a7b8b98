"""Lists of sixteen kinds and qualities for the listeners of a store, all learned from its training sessions alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis import queries
from benchmarks.data import dataset_of
from looplib.arrays import Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.cluster.cluster import Cluster, usable_cores
from recsys.config import ContextConfig, Feedback, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams
from recsys.models.kinds import random_lists
from recsys.models.topk import NO_TRACK, nearest_tracks, personal_lists
from recsys.session_model.fit import fit_context
from recsys.session_model.model import ContextModel
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import Store

DEPTH = 30
SWEEPS = 6
FAVOURITES = 20  # a listener's favourites whose neighbours are looked at
ALL_LISTENING = Feedback()
SMALL = {"factors": 24, "sweeps": 3, "rough_sweeps": 2, "coarse_factors": 12, "coarse_sweeps": 3}  # quickly fitted


@dataclass(frozen=True)
class Model:
    """A model's lists."""

    name: str
    kind: str  # "als", "context" or "other"
    lists: Int32Array  # columns of the dataset, best first, -1 at the end of short ones; shape (listeners, DEPTH)


@dataclass(frozen=True)
class AlsModel:
    """How an ALS model is fitted and what becomes of it."""

    name: str
    params: AlsParams
    sweeps: int = SWEEPS
    feedback: Feedback = ALL_LISTENING
    filter_seen: bool = False


ALS = (
    AlsModel("ALS 4", AlsParams(4, 10.0, 10.0)),
    AlsModel("ALS 16", AlsParams(16, 10.0, 10.0)),
    AlsModel("ALS 32, one sweep", AlsParams(32, 10.0, 10.0), sweeps=1),
    AlsModel("ALS 32", AlsParams(32, 10.0, 10.0)),
    AlsModel("ALS 32, unheard tracks", AlsParams(32, 10.0, 10.0), filter_seen=True),
    AlsModel("ALS 32, alpha 0.1", AlsParams(32, 10.0, 0.1)),
    AlsModel("ALS 32, regularization 1000", AlsParams(32, 1000.0, 10.0)),
    AlsModel("ALS 32, heard by half", AlsParams(32, 10.0, 10.0), feedback=Feedback(min_time=0.5)),
    AlsModel("ALS 32, skips disliked", AlsParams(32, 10.0, 10.0, skip_weight=1.0), feedback=Feedback(skip_time=0.1)),
    AlsModel("ALS 64", AlsParams(64, 10.0, 10.0)),
)


def make_models(store: Store, config: SearchConfig, dataset: Dataset, cluster: Cluster, scratch: Path) -> list[Model]:
    """Fit all models, the simplest first; the folder gets a copy of the store's training sessions."""
    rng = make_generator(config.seed, "random lists")
    listeners, tracks = len(dataset.users), len(dataset.tracks)
    popular = np.tile(dataset.most_popular("train", DEPTH), (listeners, 1)).astype(np.int32)
    models = [
        Model("random list", "other", random_lists(listeners, tracks, DEPTH, rng)),
        Model("popular", "other", popular),
        Model("own favourites", "other", _largest(dataset.matrix("train"), DEPTH)),
    ]
    for spec in ALS:
        own = dataset
        if spec.feedback != ALL_LISTENING:
            changed = config.model_copy(update={"feedback": spec.feedback})
            own = dataset_of(changed, cluster)
        model = Als(own.matrix("train"), spec.params, config.seed, usable_cores(), own.skips("train"))
        model.sweep(spec.sweeps)
        lists = personal_lists(model, own, "train", DEPTH, usable_cores(), spec.filter_seen)
        models.append(Model(spec.name, "als", lists))
    near = nearest_tracks(model.item_factors, DEPTH, usable_cores())
    models.append(Model("neighbours of favourites", "other", _near_favourites(dataset, near)))
    responses = load_responses(_training_store(store, config, scratch), config.catalogue)
    context = fit_context(responses, ContextConfig.model_validate(SMALL), config.seed, usable_cores())
    return [*models, *_context_models(context, responses, dataset, popular)]


def _largest(values: csr_matrix, k: int) -> Int32Array:
    """Return the columns of the k largest values of each row, best first; `NO_TRACK` where there are fewer."""
    lists = np.full((values.shape[0], k), NO_TRACK, dtype=np.int32)
    for row in range(values.shape[0]):
        own = slice(values.indptr[row], values.indptr[row + 1])
        best = np.argsort(-values.data[own], kind="stable")[:k]
        lists[row, : len(best)] = values.indices[own][best]
    return lists


def _near_favourites(dataset: Dataset, near: Int32Array) -> Int32Array:
    """Return the tracks that are neighbours of most of a listener's favourites, weighted by listening time."""
    heard = dataset.matrix("train")
    own = _largest(heard, FAVOURITES)
    rows, positions = np.nonzero(own != NO_TRACK)
    columns = own[rows, positions]
    liked = csr_matrix((np.asarray(heard[rows, columns]).ravel(), (rows, columns)), shape=heard.shape)
    known, position = np.nonzero(near != NO_TRACK)
    ones = np.ones(len(known), dtype=np.float32)
    neighbours = csr_matrix((ones, (known, near[known, position])), shape=(len(near), len(near)))
    return _largest(csr_matrix(liked @ neighbours), DEPTH)


def _training_store(store: Store, config: SearchConfig, folder: Path) -> Store:
    """Write a copy of the store without the sessions that the split holds out."""
    for part in store.manifest.parts:
        source, target = store.path / part.path, folder / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with queries.connect() as connection:
            queries.attach_parquet(connection, "events", [source])
            queries.materialize(connection, "session_events", "sessions/session_events")
            rule = {"kind": "session_hash", "seed": config.seed, "holdout": config.split.holdout, "cutoff_ms": None}
            heldout = queries.fetch_table(connection, "sessions/heldout_sessions", **rule)
        kept = pq.read_table(source).join(heldout, keys=["user", "session"], join_type="left anti")
        pq.write_table(kept, target)
    return replace(store, path=folder)


def _context_models(
    context: ContextModel, responses: Responses, dataset: Dataset, popular: Int32Array
) -> Iterator[Model]:
    """List tracks by the session model, which knows a listener's interests and not which one a session follows."""
    mixed, in_turn = popular.copy(), popular.copy()
    column_of = np.searchsorted(dataset.tracks, responses.tracks)
    row_of = np.searchsorted(dataset.users, responses.users)
    tracks = np.hstack([context.tracks, np.ones((len(context.tracks), 1), dtype=np.float32)])
    heard = np.bincount(responses.opening)
    bounds = np.searchsorted(responses.listener, np.arange(len(responses.users) + 1))
    for person, row in enumerate(row_of.tolist()):
        opened = slice(bounds[person], bounds[person + 1])
        own, position = np.unique(context.interest_of[opened], return_inverse=True)
        weight = np.bincount(position, heard[opened]).astype(np.float32)
        share = 1 / (1 + np.exp(-(context.interests[own] @ tracks.T)))
        mixed[row] = column_of[_best(weight @ share, DEPTH)]
        in_turn[row] = column_of[_in_turns(share[np.argsort(-weight, kind="stable")])]
    yield Model("context model, best on average", "context", mixed)
    yield Model("context model, interests in turn", "context", in_turn)


def _best(scores: npt.NDArray[np.floating[Any]], k: int) -> IntArray:
    some = np.argpartition(-scores, k)[:k]
    return some[np.argsort(-scores[some], kind="stable")]


def _in_turns(shares: npt.NDArray[np.floating[Any]]) -> IntArray:
    """Return the best of each row, the second best of each, and so on, without repeats."""
    ranked = np.stack([_best(share, DEPTH) for share in shares], axis=1).ravel()
    _, first = np.unique(ranked, return_index=True)
    return ranked[np.sort(first)][:DEPTH]
