"""Example lists: what the winner recommends to a few listeners, beside what they heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.arrays import Int32Array
from looplib.files import sha256_file
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.models.topk import NO_TRACK
from recsys.store.ids import originals
from recsys.store.remote import Store

_RECOMMENDED, _HEARD = 10, 5


class Title(msgspec.Struct, frozen=True):
    """Title and artist of a track; what the catalogue does not say is empty."""

    track: int | str
    title: str = ""
    artist: str = ""


@dataclass(frozen=True)
class Example:
    """The list of a listener."""

    listener: str  # the id
    tracks: int  # how many tracks the listener has in training
    heard: list[Title]  # those with the most listening time
    # The head of the list, best first: with the share that was heard in the held-out sessions, or else None, and
    # whether the listener had heard it in the training sessions
    recommended: list[tuple[Title, float | None, bool]]


def read_titles(file: Path | None, store: Store) -> dict[str, Title]:
    """Read the titles of a catalogue, which must be the store's, by track id as text; there are none without a file."""
    if file is None:
        return {}
    catalogue, titles = store.manifest.catalogue, {}
    try:
        if catalogue and (digest := sha256_file(file)) != catalogue.sha256:
            raise SearchError(
                f"{file}: not the catalogue of {store.workspace}: {catalogue}, and this has {digest[:12]}"
            )
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SearchError(f"{file}: no catalogue to be read here ({error.strerror})") from None
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                title = msgspec.json.decode(line, type=Title)
                titles[str(title.track)] = title
        except msgspec.DecodeError as error:
            wanted = '{"track": …, "artist": …, "title": …}'
            raise SearchError(f"{file}, line {number}: not {wanted} ({error})") from None
    return titles


def read_examples(file: Path, dataset: Dataset, store: Store, titles: Mapping[str, Title]) -> tuple[Example, ...]:
    """Read the example lists that a search kept of a scored sweep; none where the file is gone."""
    if not file.exists():
        return ()
    with np.load(file) as kept:
        rows, lists = kept["example_rows"], kept["example_lists"]
    users = originals(store, "users", dataset.users[rows]).tolist()

    def titles_of(columns: Int32Array) -> list[Title]:
        tracks = originals(store, "items", dataset.tracks[columns]).tolist()
        return [titles.get(str(track), Title(track, f"track {track}")) for track in tracks]

    def example(listener: str, row: int, columns: Int32Array) -> Example:
        interactions = dataset.matrix("train")[row]
        known = interactions.indices[np.argsort(-interactions.data, kind="stable")]
        heldout = pq.read_table(dataset.heldout, filters=pc.field("user") == row)
        times = dict(zip(heldout["track"].to_pylist(), heldout["time"].to_pylist(), strict=True))
        recommended = [
            (title, times.get(column), is_known)
            for title, column, is_known in zip(
                titles_of(columns), columns.tolist(), np.isin(columns, known).tolist(), strict=True
            )
        ]
        return Example(listener, len(known), titles_of(known[:_HEARD]), recommended)

    return tuple(
        example(str(user), int(row), columns[columns != NO_TRACK][:_RECOMMENDED])
        for user, row, columns in zip(users, rows, lists, strict=True)
    )
