"""Plays of listeners who follow their own orders, and an export of the older plays."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from recsys.config import ExportConfig, Split
from tests.recsys.finished import finish_run
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import ingest_tables

LISTENERS, TRACKS = 30, 50
COLUMNS = "listener=u,track=i,artist=a,"
ORDERS = {"timestamp": "played_at", "position": "position"}
DAY = 86_400
START = 19_675 * DAY


def write_plays(file: Path, order: str) -> Path:
    """Write plays: sessions of a few tracks, most of which follow the track before."""
    generator = np.random.default_rng(4)
    rows = []
    for session in range(12):
        for user in range(LISTENERS):
            track = int(generator.integers(TRACKS))
            for place in range(int(generator.integers(1, 8))):
                position = 100 * session + place
                seconds = START + DAY * session + 200 * user + 60 * place
                stamp = position if order == "position" else seconds
                rows.append(f"u{user},t{track},{track % 7},{stamp}")
                follows = generator.random() < 0.8
                step = 3 if follows else int(generator.integers(TRACKS))
                track = (track + step) % TRACKS
    file.write_text("\n".join([f"u,i,a,{order}", *rows, ""]))
    return file


def publish(
    folder: Path, order: str, split: Split | None = None, **options: object
) -> tuple[Path, Path]:
    """Export a model of plays.

    Returns:
        The file of all plays, and the folder of the export.
    """
    file = write_plays(folder / "plays.csv", order)
    ingest_tables(folder, file, columns=f"{COLUMNS}{ORDERS[order]}={order}")
    run = finish_run(
        folder,
        models={"activation": {}},
        cluster={"workers": 1},
        split=split or Split(kind="newest", holdout=0.25),
    )
    config = ExportConfig(publish_anyway=True, live="anyway", **options)
    publish_run(run, folder / "export", config)
    return file, folder / "export"


@pytest.fixture(scope="session")
def older(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Path, Path]]:
    """Publish a model of the older plays, once for each order."""

    @cache
    def make(order: str) -> tuple[Path, Path]:
        split = Split(kind="time", holdout=0.25) if order == "timestamp" else None
        folder = tmp_path_factory.mktemp(order)
        return publish(folder, order, split, learn_from="training")

    return make
