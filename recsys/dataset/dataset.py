"""The training data of a search: interactions as sparse arrays, in a folder beside the store (docs/formats.md).

It is written whole or not at all, under a digest of what it follows from (store, split, feedback). Workers map the
arrays into memory, so that the processes of a machine share one copy.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array, IntArray
from looplib.checksums import unseal
from looplib.files import sha256_file
from recsys.errors import DatasetError
from recsys.workspace import Workspace, open_workspace

SCHEMA = 2  # 1 had neither logged sessions nor lengths
SUMMARY = "dataset.json"
PIECES = "pieces"  # in a run's folder, what its workers hand over
CSR = ("values", "indices", "indptr")  # the files of a matrix
Side = Literal["train", "total"]


@dataclass(frozen=True)
class Summary:
    """What a dataset holds: `dataset.json`."""

    digest: str  # names the dataset; equal digests mean equal bytes
    listeners: int  # of the log, rows of the matrices
    tracks: int  # of the catalogue (of the log where it is unknown), columns of the matrices
    interactions: int  # stored values of the training matrix
    training_listeners: int  # those with at least one training interaction
    events: int  # of the store
    heldout_events: int
    sessions: int  # of the store
    heldout_sessions: int
    files: dict[str, str]  # the sha256 of the other files by name


@dataclass(frozen=True)
class Dataset:
    """An opened dataset; rows are listeners, columns are tracks."""

    workspace: Workspace
    summary: Summary
    users: IntArray
    tracks: IntArray

    @property
    def path(self) -> Path:
        """The dataset's folder on this machine."""
        return self.workspace.folder

    @property
    def address(self) -> str:
        """Where workers open it."""
        return self.workspace.address

    def matrix(self, side: Side) -> csr_matrix:
        """Map the interactions of one side, float32, shape (listeners, tracks), from the disk."""
        return load_matrix(self.path, side, (len(self.users), len(self.tracks)))

    def by_track(self, side: Side) -> csr_matrix:
        """Return the interactions of one side, shape (tracks, listeners); a process keeps those that it used last."""
        return _load_by_track(self.path, side, (len(self.users), len(self.tracks)))

    def skips(self, side: Side) -> csr_matrix | None:
        """Count of each listener's skips of each track, shape (listeners, tracks); None where no skip is defined."""
        has_skips = (self.path / f"{side}_skips-indptr.npy").exists()
        return load_matrix(self.path, f"{side}_skips", (len(self.users), len(self.tracks))) if has_skips else None

    @property
    def heldout(self) -> Path:
        """The held-out listening: user and track as rows and columns of the matrices, and time."""
        return self.path / "heldout.parquet"

    @property
    def logged(self) -> Path:
        """The held-out sessions in the columns of `offpolicy/session_events`; the file is missing without events."""
        return self.path / "logged.parquet"

    def session_lengths(self) -> dict[int, int]:
        """Count the sessions of each length in tracks, shortest first."""
        table = pq.read_table(self.path / "lengths.parquet")
        return dict(zip(table["length"].to_pylist(), table["sessions"].to_pylist(), strict=True))

    def popularity(self) -> IntArray:
        """Count the listeners of each track in the training interactions; shape (tracks,)."""
        indices = np.load(self.path / "train-indices.npy", mmap_mode="r")
        return np.bincount(indices, minlength=len(self.tracks))

    def most_popular(self, side: Side, k: int) -> Int32Array:
        """Return the k tracks with the most listening time, as columns, best first; ties go to the first column."""
        indices, values = (np.load(self.path / f"{side}-{name}.npy", mmap_mode="r") for name in ("indices", "values"))
        listening_time = np.bincount(indices, weights=values, minlength=len(self.tracks))
        return np.argsort(-listening_time, kind="stable")[:k].astype(np.int32)


def load_matrix(folder: Path, name: str, shape: tuple[int, int]) -> csr_matrix:
    """Map a matrix from its files; copied on write, as the solver refuses read-only memory, and does not write."""
    arrays = tuple(np.load(folder / f"{name}-{array}.npy", mmap_mode="c") for array in CSR)
    return csr_matrix(arrays, shape=shape, copy=False)


@lru_cache(maxsize=1)
def _load_by_track(folder: Path, side: Side, shape: tuple[int, int]) -> csr_matrix:
    return csr_matrix(load_matrix(folder, side, shape).T)


@lru_cache(maxsize=2)
def open_dataset(address: str | Path) -> Dataset:
    """Open a dataset, once a process; what is at an address is downloaded."""
    workspace = open_workspace(address)
    workspace.download_all()
    path = workspace.folder
    summary = Summary(**unseal((path / SUMMARY).read_bytes(), needed=True))
    return Dataset(workspace, summary, np.load(path / "users.npy"), np.load(path / "tracks.npy"))


def open_whole_dataset(workspace: Workspace) -> Dataset:
    """Open a dataset that is on this machine, once every file is what was written.

    Raises:
        DatasetError: One is not; the search that made the dataset, run again, builds it again.
    """
    folder = workspace.folder
    try:
        files = unseal((folder / SUMMARY).read_bytes(), needed=True)["files"]
        with ThreadPoolExecutor() as threads:
            found = dict(zip(files, threads.map(sha256_file, (folder / name for name in files)), strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{workspace}: damaged ({error}); run the search again, which builds it again") from None
    if changed := [name for name in files if found[name] != files[name]]:
        raise DatasetError(f"{workspace}/{changed[0]}: damaged; run the search again, which builds it again")
    return open_dataset(workspace.address)


def new_array(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[Any]]":
    """Create an array file, mapped for writing, with its space on the disk reserved.

    Raises:
        OSError: The disk is full; without the reservation, writing to the map would kill the process instead.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    with file.open("r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return mapped
