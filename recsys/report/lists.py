"""Example lists: what the winner recommends to a few listeners, beside what they heard."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.topk import NO_TRACK
from recsys.report.titles import Title
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
        title: Title and artist.
        in_training: Whether the listener had heard it in the training sessions.
        heldout_time: Share of it that was heard in the held-out sessions; None: not at all.
    """

    title: Title
    in_training: bool
    heldout_time: float | None


@dataclass(frozen=True)
class Example:
    """The list of a listener.

    Attributes:
        listener: The id.
        tracks: How many tracks the listener has in training.
        heard: Those with the most listening time.
        recommended: The head of the list, best first.
    """

    listener: str
    tracks: int
    heard: tuple[Title, ...]
    recommended: tuple[Recommended, ...]


def read_examples(
    run: Workspace,
    config: SearchConfig,
    winner: Winner,
    dataset: Dataset,
    store: Store,
    titles: Mapping[str, Title],
) -> tuple[Example, ...]:
    """Read the example lists that the search kept of the winner's scored sweep; none where the file is gone."""
    scorer = Scorer(dataset.address, config.validation, config.seed, config.cluster.threads_per_fit)
    file = run.cached(listeners_name(scorer, winner.trial, winner.sweeps))
    if not file.exists():
        return ()
    with np.load(file) as kept:
        rows, lists = kept["example_rows"], kept["example_lists"]
    users = originals(store, "users", dataset.users[rows]).tolist()

    def titles_of(columns: list[int]) -> list[Title]:
        tracks = originals(store, "items", dataset.tracks[np.array(columns, dtype=np.int64)]).tolist()
        return [titles.get(str(track), Title(str(track), f"track {track}")) for track in tracks]

    def example(listener: str, row: int, columns: list[int]) -> Example:
        interactions = dataset.matrix("train")[row]
        most = interactions.indices[np.argsort(-interactions.data, kind="stable")][:_HEARD].tolist()
        heldout = pq.read_table(dataset.heldout, filters=pc.field("user") == row)
        times = dict(zip(heldout["track"].to_pylist(), heldout["time"].to_pylist(), strict=True))
        known = set(interactions.indices.tolist())
        recommended = zip(columns, titles_of(columns), strict=True)
        return Example(
            listener,
            len(known),
            tuple(titles_of(most)),
            tuple(Recommended(title, column in known, times.get(column)) for column, title in recommended),
        )

    return tuple(
        example(str(user), int(row), columns[columns != NO_TRACK][:_RECOMMENDED].tolist())
        for user, row, columns in zip(users, rows, lists, strict=True)
    )
