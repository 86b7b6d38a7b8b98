"""Plays of listeners who play again what they know, and datasets of them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from tests.recsys.opened import dataset_of
from tests.recsys.tables import Row, ingest, write_csv

COLUMNS = "user=listener,item=track,position=position,artist=artist"


def random_plays(
    seed: int, listeners: int = 40, plays: int = 60, tracks: int = 80
) -> list[Row]:
    """Draw plays: half are of a track played before, the others near to the last one."""
    generator = np.random.default_rng(seed)
    rows: list[Row] = []
    for listener in range(listeners):
        heard = [int(generator.integers(tracks))]
        for _ in range(plays - 1):
            if generator.random() < 0.5:
                heard.append(int(generator.choice(heard[-20:])))
            else:
                step = int(generator.integers(-4, 5))
                heard.append((heard[-1] + step) % tracks)
        rows += plays_of(listener, heard)
    return rows


def plays_of(listener: int, tracks: Sequence[int]) -> list[Row]:
    """Return the plays of a listener, in order; eight tracks have an artist."""
    return [
        {
            "listener": listener,
            "position": position,
            "track": track,
            "artist": f"artist {track // 8}",
        }
        for position, track in enumerate(tracks)
    ]


def training_plays(rows: Sequence[Row]) -> dict[int, list[int]]:
    """Return the tracks of the first four fifths of each listener's plays."""
    heard = defaultdict(list)
    for row in rows:
        heard[row["listener"]].append(row["track"])
    return {user: tracks[: -(-4 * len(tracks) // 5)] for user, tracks in heard.items()}


def make_plays_store(folder: Path, rows: Sequence[Row], columns: str = COLUMNS) -> Path:
    """Ingest plays into a new store."""
    file = write_csv(folder / "plays.csv", rows)
    assert ingest(folder / "store", file, "--columns", columns) == 0
    return folder / "store"


def dataset_of_plays(folder: Path, rows: Sequence[Row], **sections: Any) -> Dataset:  # noqa: ANN401  of a search
    """Build the dataset of some plays, the newest fifth of each listener held out."""
    store = make_plays_store(folder, rows)
    split = {"kind": "newest", "holdout": 0.2}
    return dataset_of(
        SearchConfig(store=store, run=folder / "run", **{"split": split, **sections})
    )
