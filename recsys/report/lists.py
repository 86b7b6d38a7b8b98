"""Example lists: what the winner recommends to a few listeners, beside what they heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.files import sha256_file
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.models.topk import NO_TRACK
from recsys.runs.folder import Winner, listeners_name
from recsys.scoring.scorer import Scorer
from recsys.store.ids import originals
from recsys.store.remote import Store
from recsys.workspace import Workspace

_RECOMMENDED, _HEARD = 10, 5


class Title(msgspec.Struct, frozen=True):
    """Title and artist of a track; what the catalogue does not say is empty."""

    track: int | str
    title: str = ""
    artist: str = ""


@dataclass(frozen=True)
class Recommended:
    """A recommended track."""

    title: Title
    in_training: bool  # whether the listener had heard it in the training sessions
    heldout_time: float | None  # share of it that was heard in the held-out sessions; None: not at all


@dataclass(frozen=True)
class Example:
    """The list of a listener."""

    listener: str  # the id
    tracks: int  # how many tracks the listener has in training
    heard: tuple[Title, ...]  # those with the most listening time
    recommended: tuple[Recommended, ...]  # the head of the list, best first


def read_titles(file: Path | None, store: Store) -> dict[str, Title]:
    """Read the titles of a catalogue by track id, as text; there are none without a file.

    Raises:
        SearchError: It cannot be read, or it is not the catalogue that the store's track ids refer to.
    """
    if file is None:
        return {}
    try:
        if store.manifest.catalogue and (digest := sha256_file(file)) != store.manifest.catalogue.sha256:
            wanted = f"{store.workspace}: {store.manifest.catalogue}"
            raise SearchError(f"{file}: not the catalogue of {wanted}, and this has {digest[:12]}")
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SearchError(f"{file}: no catalogue to be read here ({error.strerror})") from None
    decoder = msgspec.json.Decoder(Title)
    titles = {}
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                title = decoder.decode(line)
                titles[str(title.track)] = title
        except msgspec.DecodeError as error:
            wanted = '{"track": …, "artist": …, "title": …}'
            raise SearchError(f"{file}, line {number}: not {wanted} ({error})") from None
    return titles


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
