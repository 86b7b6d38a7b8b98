"""Open the training data of a search: sparse arrays in a folder beside the store.

It is written whole or not at all, under a digest of its origin (store, split, feedback).
Workers map the arrays into memory, so that the processes of a machine share a copy.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyArray, IntArray
from looplib.checksums import unseal
from looplib.files import sha256_file
from recsys.dataset.layout import (
    BY_TRACK,
    LATEST,
    SUMMARY,
    TRACKS,
    USERS,
    SplitName,
    load_matrix,
)
from recsys.errors import SearchError
from recsys.storage import Workspace, open_workspace


@dataclass(frozen=True)
class Summary:
    """The sizes of a dataset and the digests of its files: `dataset.json`."""

    digest: str  # names the dataset; equal digests mean equal bytes
    listeners: int  # rows of the matrices
    tracks: int  # columns of the matrices; the catalogue's, or else the tracks heard
    training_tracks: int  # tracks that exist in training, the first columns
    categories: tuple[str, ...]  # names of columns of categories beside the artist
    unplayed: bool  # whether tracks of the catalogue exist before their first play
    numbers: int  # categories, numbers and dimensions of vectors of each track
    interactions: int  # pairs of listener and track with training listening time
    training_listeners: int  # listeners with a training interaction
    events: int  # plays of the store
    heldout_events: int
    sessions: int  # sessions of the store
    heldout_sessions: int
    files: dict[str, str]  # the sha256 of the other files by name


@dataclass(frozen=True, eq=False)  # one a process: `open_dataset`
class Dataset:
    """An opened dataset; rows are listeners, columns are tracks.

    A track exists from its first play on, or from the beginning if the owner's catalogue has it.
    Tracks that are first played in held-out sessions have the last columns, which the training
    split lacks.
    """

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

    def tracks_of(self, split: SplitName) -> IntArray:
        """List the ids of the tracks that exist in a split, by column."""
        return self.tracks[: None if split == "all" else self.summary.training_tracks]

    def matrix(
        self,
        split: SplitName,
        first: int = 0,
        last: int | None = None,
        *,
        by_track: bool = False,
    ) -> csr_matrix:
        """Map the listening time of a split, float32, shape (listeners, tracks), from the disk.

        It has all rows, or the rows `first` to `last - 1`; it is transposed if it is by track.
        """
        name = BY_TRACK.format(split) if by_track else split
        columns = self.users if by_track else self.tracks_of(split)
        return load_matrix(self.path, name, len(columns), first, last)

    def array(self, matrix: str, name: str) -> AnyArray:
        """Map an array of a split's matrix, or of its transpose."""
        array: AnyArray = np.load(self.path / f"{matrix}-{name}.npy", mmap_mode="r")
        return array

    def counts(self, split: SplitName) -> IntArray:
        """Count the tracks that each listener heard; shape (listeners,)."""
        return np.diff(self.array(split, "indptr"))

    def latest(self, split: SplitName) -> IntArray:
        """Read the latest timestamp or position of each listener; shape (listeners,)."""
        latest: IntArray = np.load(self.path / LATEST.format(split))
        return latest

    @property
    def heldout(self) -> Path:
        """The held-out listening: user and track as rows and columns of the matrices, and time."""
        return self.path / "heldout.parquet"

    def popularity(self, split: SplitName) -> IntArray:
        """Count the listeners who heard each track; shape (tracks,)."""
        return np.diff(self.array(BY_TRACK.format(split), "indptr"))


def open_dataset(address: str | Path) -> Dataset:
    """Open a dataset once in a process; download it from an address."""
    return _open(open_workspace(address))


@lru_cache(maxsize=2)
def _open(workspace: Workspace) -> Dataset:
    workspace.download_all()
    path = workspace.folder
    summary = Summary(**unseal((path / SUMMARY).read_bytes()))
    return Dataset(workspace, summary, np.load(path / USERS), np.load(path / TRACKS))


def open_whole_dataset(workspace: Workspace) -> Dataset:
    """Open a dataset, every file checked.

    Raises:
        SearchError: It is missing, or a file has changed since; the search that made it
            builds it again.
    """
    try:
        dataset = _open(workspace)
        files = dataset.summary.files
        with ThreadPoolExecutor() as threads:
            digests = threads.map(sha256_file, map(dataset.path.joinpath, files))
            damaged = [
                name
                for (name, sha256), digest in zip(files.items(), digests, strict=True)
                if digest != sha256
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        damaged = [str(error)]
    if damaged:
        _open.cache_clear()
        raise SearchError(
            f"{workspace}: damaged ({damaged[0]}); run the search again, which builds it again"
        )
    return dataset
