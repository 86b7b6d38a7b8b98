"""What the winner recommends to a few listeners, beside what they heard; learned from the training sessions alone."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.topk import NO_TRACK
from recsys.report.titles import Title, Titles
from recsys.runs.folder import Winner, listeners_name
from recsys.scoring.scorer import Scorer
from recsys.store.ids import originals
from recsys.store.remote import Store
from recsys.workspace import Workspace

_RECOMMENDED, _HEARD = 10, 5


@dataclass(frozen=True)
class Recommended:
    """A recommended track.

    Attributes:
        title: What it is called.
        in_training: Whether the listener had heard it in the training sessions.
        heldout_time: How long it was heard in the held-out sessions; None: not at all.
    """

    title: Title
    in_training: bool
    heldout_time: float | None


@dataclass(frozen=True)
class Example:
    """A listener's list.

    Attributes:
        listener: The id.
        tracks: How many tracks the listener has in training.
        heard: Those with the most listening time, with that time.
        recommended: The head of the list, best first.
    """

    listener: str
    tracks: int
    heard: tuple[tuple[Title, float], ...]
    recommended: tuple[Recommended, ...]


def read_examples(
    run: Workspace, config: SearchConfig, winner: Winner, dataset: Dataset, store: Store, titles: Titles
) -> tuple[Example, ...]:
    """The example lists that the search kept of the winner's scored sweep; none where the file is gone."""
    scorer = Scorer(dataset.address, config.validation, config.seed, config.cluster.threads_per_fit)
    file = run.cached(listeners_name(scorer, winner.trial, winner.sweeps))
    if not file.exists():
        return ()
    with np.load(file) as kept:
        rows, lists = kept["example_rows"], kept["example_lists"]
    users = originals(store, "users", dataset.users[rows]).tolist()
    return tuple(
        _example(str(user), int(row), columns[columns != NO_TRACK].tolist(), dataset, store, titles)
        for user, row, columns in zip(users, rows, lists, strict=True)
    )


def _example(listener: str, row: int, columns: list[int], dataset: Dataset, store: Store, titles: Titles) -> Example:
    interactions = dataset.matrix("train")[row]
    by_time = np.argsort(-interactions.data, kind="stable")
    most = interactions.indices[by_time][:_HEARD].tolist()
    heldout = pq.read_table(dataset.heldout, filters=pc.field("user") == row)
    times = dict(zip(heldout["track"].to_pylist(), heldout["time"].to_pylist(), strict=True))
    shown = columns[:_RECOMMENDED]
    called = dict(zip(shown + most, _titles(shown + most, dataset, store, titles), strict=True))
    known = set(interactions.indices.tolist())
    return Example(
        listener=listener,
        tracks=len(known),
        heard=tuple((called[column], float(interactions.data[at])) for column, at in zip(most, by_time, strict=False)),
        recommended=tuple(Recommended(called[column], column in known, times.get(column)) for column in shown),
    )


def _titles(columns: list[int], dataset: Dataset, store: Store, titles: Titles) -> list[Title]:
    tracks = originals(store, "items", dataset.tracks[np.array(columns, dtype=np.int64)])
    return [titles.of(track) for track in tracks.tolist()]
