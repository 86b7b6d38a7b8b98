"""What a fit starts from: listening of a small world, and factors of it."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from looplib.arrays import FloatArray
from looplib.config import load_config
from sim.collect import CollectConfig, collect
from sim.world import make_world
from sim.worlds.config import WorldConfig

FACTORS = 16
_WORLD = [
    "catalogue.tracks=600", "catalogue.artists=120", "catalogue.genres=20", "listeners.listeners=250",
]  # fmt: skip
_SESSIONS = 5000


@dataclass(frozen=True)
class Data:
    """Files in one folder."""

    folder: Path

    @property
    def plays(self) -> Path:
        return self.folder / "plays.csv"

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def catalogue(self) -> Path:
        return self.folder / "world" / "tracks.json"

    def rows(self) -> list[dict[str, str]]:
        with self.plays.open(newline="") as file:
            return list(csv.DictReader(file))

    def words(self, out: Path, *more: object, plays: Path | None = None) -> list[str]:
        """A command line."""
        words = [
            "from-interactions",
            plays or self.plays,
            "--export",
            self.export,
            "--out",
            out,
            *more,
        ]
        return [str(word) for word in words]


def make_data(folder: Path) -> Data:
    """Collects sessions with random tracks in a small world, adds up who heard what, and factorises that."""
    data = Data(folder)
    make_world(
        load_config(WorldConfig, Path("configs/world/easy.yaml"), _WORLD),
        folder / "world",
    )
    collect(
        CollectConfig(
            world=folder / "world", log=folder / "log", episodes=_SESSIONS, seed=1
        )
    )
    heard = np.zeros((250, 600))
    for segment in sorted((folder / "log").glob("*.jsonl")):
        for line in segment.read_bytes().splitlines():
            event = orjson.loads(line)
            heard[event["user"], event["track"]] += event["time"]
    with data.plays.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track", "user", "weight"])
        writer.writerows(
            [track, user, round(heard[user, track], 2)]
            for user, track in np.argwhere(heard > 0).tolist()
        )
    write_factors(data.export, np.arange(250), np.arange(600), factorise(heard))
    return data


def factorise(heard: FloatArray) -> FloatArray:
    """Factors (tracks, FACTORS) of what was heard (users, tracks), by a singular value decomposition."""
    popularity = np.sqrt(heard.sum(axis=0) + 1.0)
    _, values, rows = np.linalg.svd(heard / popularity, full_matrices=False)
    factors: FloatArray = rows[:FACTORS].T * np.sqrt(values[:FACTORS])
    return factors


def write_factors(
    export: Path, users: npt.ArrayLike, tracks: npt.ArrayLike, items: npt.ArrayLike
) -> Path:
    """Writes a folder as an export leaves it, as far as a fit reads it."""
    export.mkdir(parents=True, exist_ok=True)
    nobody = np.zeros((len(np.asarray(users)), FACTORS))
    np.savez(
        export / "factors.npz",
        users=users,
        user_factors=nobody,
        tracks=tracks,
        item_factors=items,
    )
    return export
