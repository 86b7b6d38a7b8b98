"""Lists of many kinds and qualities for the listeners of a store, all learned from its training sessions alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis import queries
from looplib.arrays import Int32Array, IntArray
from looplib.progress import progress
from looplib.randomness import make_generator
from recsys.cluster.cluster import Cluster, usable_cores
from recsys.config import ContextConfig, Feedback, SearchConfig
from recsys.dataset.buckets import materialize_sessions
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset
from recsys.dataset.split import UNWEIGHTED
from recsys.models.als import Als, AlsParams
from recsys.models.baselines import random_lists
from recsys.models.lists import personal_lists
from recsys.models.topk import NO_TRACK, nearest_tracks
from recsys.session_model.fit import ContextModel, fit_context
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import Store
from recsys.workspace import open_workspace

DEPTH = 30
SWEEPS = 6
KNOWN_FOR = 20  # a listener's favourites whose neighbours are looked at
ALL_LISTENING = Feedback()
SMALL = {"factors": 24, "sweeps": 3, "rough_sweeps": 2, "coarse_factors": 12, "coarse_sweeps": 3}  # quickly fitted


@dataclass(frozen=True)
class Model:
    """A model's lists.

    Attributes:
        name: For people.
        kind: Models of one kind are alike: "als", "context" or "other".
        lists: Int32Array of the dataset's tracks, best first, -1 at the end of short ones; shape (listeners, DEPTH).
    """

    name: str
    kind: str
    lists: Int32Array


@dataclass(frozen=True)
class Fitted:
    """How an ALS model is fitted and what becomes of it."""

    name: str
    params: AlsParams
    sweeps: int = SWEEPS
    feedback: Feedback = ALL_LISTENING
    filter_seen: bool = False


ALS = (
    Fitted("ALS 4", AlsParams(4, 10.0, 10.0)),
    Fitted("ALS 16", AlsParams(16, 10.0, 10.0)),
    Fitted("ALS 32, one sweep", AlsParams(32, 10.0, 10.0), sweeps=1),
    Fitted("ALS 32", AlsParams(32, 10.0, 10.0)),
    Fitted("ALS 32, unheard tracks", AlsParams(32, 10.0, 10.0), filter_seen=True),
    Fitted("ALS 32, alpha 0.1", AlsParams(32, 10.0, 0.1)),
    Fitted("ALS 32, regularization 1000", AlsParams(32, 1000.0, 10.0)),
    Fitted("ALS 32, heard by half", AlsParams(32, 10.0, 10.0), feedback=Feedback(min_time=0.5)),
    Fitted("ALS 32, skips disliked", AlsParams(32, 10.0, 10.0, skip_weight=1.0), feedback=Feedback(skip_time=0.1)),
    Fitted("ALS 64", AlsParams(64, 10.0, 10.0)),
)


def make_models(store: Store, config: SearchConfig, dataset: Dataset, cluster: Cluster, scratch: Path) -> list[Model]:
    """All models, the simplest first.

    Args:
        store: Whose training sessions they learn from.
        config: The split, the seed and the catalogue.
        dataset: That store's, with all listening time as feedback.
        cluster: Prepares the datasets of other feedback.
        scratch: A folder for the training sessions.
    """
    rng = make_generator(config.seed, "random lists")
    listeners, tracks = len(dataset.users), len(dataset.tracks)
    popular = np.tile(dataset.most_popular("train", DEPTH), (listeners, 1))
    models = [
        Model("random list", "other", random_lists(listeners, tracks, DEPTH, rng)),
        Model("popular", "other", popular),
        Model("own favourites", "other", favourites(dataset.matrix("train"), DEPTH)),
    ]
    fits: dict[tuple[AlsParams, Feedback], Als] = {}
    with progress("Models", len(ALS) + 1, "fitted") as report:
        for fitted in ALS:
            own = _dataset_of(fitted.feedback, store, config, dataset, cluster)
            key = (fitted.params, fitted.feedback)
            if key not in fits:
                fits[key] = Als(own.matrix("train"), fitted.params, config.seed, usable_cores(), own.skips("train"))
            fits[key].sweep(fitted.sweeps - fits[key].sweeps)
            lists = personal_lists(fits[key], own, "train", DEPTH, usable_cores(), fitted.filter_seen)
            models.append(Model(fitted.name, "als", lists))
            report(len(models) - 3, fitted.name)
        near = nearest_tracks(fits[key].item_factors, DEPTH, usable_cores())
        models.append(Model("neighbours of favourites", "other", near_favourites(dataset, near)))
        responses = load_responses(_training_store(store, config, scratch), config.catalogue)
        context = fit_context(responses, ContextConfig.model_validate(SMALL), config.seed, usable_cores())
        models += _context_models(context, responses, dataset, popular)
        report(len(ALS) + 1, "context")
    return models


def favourites(heard: csr_matrix, k: int) -> Int32Array:
    """The k tracks of each row with the largest values, best first; `NO_TRACK` where there are fewer."""
    lists = np.full((heard.shape[0], k), NO_TRACK, dtype=np.int32)
    for row in range(heard.shape[0]):
        own = slice(heard.indptr[row], heard.indptr[row + 1])
        best = np.argsort(-heard.data[own], kind="stable")[:k]
        lists[row, : len(best)] = heard.indices[own][best]
    return lists


def near_favourites(dataset: Dataset, near: Int32Array) -> Int32Array:
    """The tracks that are neighbours of most of a listener's favourites, weighted by how long these were heard."""
    heard = dataset.matrix("train")
    own = favourites(heard, KNOWN_FOR)
    rows, places = np.nonzero(own != NO_TRACK)
    columns = own[rows, places]
    liked = csr_matrix((np.asarray(heard[rows, columns]).ravel(), (rows, columns)), shape=heard.shape)
    known, position = np.nonzero(near != NO_TRACK)
    ones = np.ones(len(known), dtype=np.float32)
    neighbours = csr_matrix((ones, (known, near[known, position])), shape=(len(near), len(near)))
    return favourites(csr_matrix(liked @ neighbours), DEPTH)


def _dataset_of(feedback: Feedback, store: Store, config: SearchConfig, dataset: Dataset, cluster: Cluster) -> Dataset:
    if feedback == ALL_LISTENING:
        return dataset
    changed = config.model_copy(update={"feedback": feedback})
    return build_dataset(store, changed, cluster, lambda _done, _note: None)


def _training_store(store: Store, config: SearchConfig, folder: Path) -> Store:
    """A copy of the store without the sessions that the split holds out."""
    for part in store.manifest.parts:
        source, target = store.path / part.path, folder / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with queries.connect() as connection:
            queries.attach_parquet(connection, "events", [source])
            materialize_sessions(connection, UNWEIGHTED)
            queries.materialize(connection, "sessions", "sessions/sessions")
            rule = {"seed": config.seed, "holdout": config.split.holdout}
            heldout = queries.fetch_table(connection, "sessions/heldout_by_hash", **rule)
        kept = pq.read_table(source).join(heldout, keys=["user", "session"], join_type="left anti")
        pq.write_table(kept, target)
    return replace(store, workspace=open_workspace(folder))


def _context_models(
    context: ContextModel, responses: Responses, dataset: Dataset, popular: Int32Array
) -> Iterator[Model]:
    """Lists by the context model, which knows a listener's interests and not which one a session follows."""
    mixed, in_turn = popular.astype(np.int32), popular.astype(np.int32)
    column_of = np.searchsorted(dataset.tracks, responses.tracks)
    row_of = np.searchsorted(dataset.users, responses.users)
    tracks = np.hstack([context.tracks, np.ones((len(context.tracks), 1), dtype=np.float32)])
    sessions = np.diff(responses.starts)
    bounds = np.searchsorted(responses.listener, np.arange(len(responses.users) + 1))
    for person, row in enumerate(row_of.tolist()):
        opened = slice(bounds[person], bounds[person + 1])
        own, place = np.unique(context.interest_of[opened], return_inverse=True)
        weight = np.bincount(place, sessions[opened]).astype(np.float32)
        share = 1 / (1 + np.exp(-(context.interests[own] @ tracks.T)))
        mixed[row] = column_of[_best(weight @ share, DEPTH)]
        in_turn[row] = column_of[_take_turns(share[np.argsort(-weight, kind="stable")])]
    yield Model("context model, best on average", "context", mixed)
    yield Model("context model, interests in turn", "context", in_turn)


def _best(scores: npt.NDArray[np.floating[Any]], k: int) -> IntArray:
    some = np.argpartition(-scores, k)[:k]
    return some[np.argsort(-scores[some], kind="stable")]


def _take_turns(shares: npt.NDArray[np.floating[Any]]) -> IntArray:
    """The best of each row, the second best of each, and so on, without repeats."""
    ranked = np.stack([_best(share, DEPTH) for share in shares]).T.ravel()
    _, first = np.unique(ranked, return_index=True)
    return ranked[np.sort(first)][:DEPTH]
