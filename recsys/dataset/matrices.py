"""Write the matrices and the plays of a dataset from the tables that workers made."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from looplib.als import SCALES
from looplib.arrays import IntArray, column_values, offsets
from looplib.memory import turn
from recsys.config import Feedback
from recsys.dataset.layout import (
    BY_TRACK,
    PLAYS_HELDOUT,
    PLAYS_INDPTR,
    PLAYS_TRACKS,
    SPLITS,
    Piece,
    SplitName,
    load_matrix,
    new_array,
    new_matrix,
    save_array,
)
from recsys.errors import SearchError

_AT_ONCE = 2**24  # interactions that are turned at once


def read_pieces(folder: Path, piece: Piece) -> Iterator[pa.Table]:
    """Yield the tables of a kind, partition by partition."""
    for file in sorted(folder.glob(f"{piece}-*.arrow")):
        yield pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def read_tracks(folder: Path) -> tuple[IntArray, IntArray]:
    """Read the ids of the tracks played in training sessions, and in all; both ascending."""
    training, everything = [], []
    for table in read_pieces(folder, "interactions"):
        ids = column_values(table["track"])
        training.append(np.unique(ids[column_values(table["is_training"]) > 0]))
        everything.append(np.unique(ids))
    return np.unique(np.concatenate(training)), np.unique(np.concatenate(everything))


def user_rows(table: pa.Table, users: IntArray) -> IntArray:
    """Look up the row of the user of each line; the lines of a user are together."""
    ids = column_values(table["user"])
    first = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1))
    rows = np.searchsorted(users, ids[first])
    return np.repeat(rows, np.diff(first, append=len(ids)))


def track_columns(ids: IntArray, tracks: IntArray) -> IntArray:
    """Look up the column of each of some tracks."""
    order = np.argsort(tracks, kind="stable")
    first, last = tracks[order[[0, -1]]]
    are_all_ids = last - first == len(tracks) - 1
    places = ids - first if are_all_ids else np.searchsorted(tracks, ids, sorter=order)
    columns: IntArray = order[places]
    return columns


def write_matrices(
    folder: Path,
    users: IntArray,
    tracks: IntArray,
    training_tracks: int,
    feedback: Feedback,
) -> IntArray:
    """Write the interactions of both splits as CSR matrices, by user and by track.

    Args:
        folder: Folder of the dataset, with the workers' tables.
        users: Ids by row, ascending.
        tracks: Ids by column.
        training_tracks: Number of the first columns that the training split has.
        feedback: Settings of the values.

    Returns:
        How many tracks each user heard in training, shape (users,).

    Raises:
        SearchError: There is no training interaction.
    """
    counts = {split: np.zeros(len(users), dtype=np.int64) for split in SPLITS}
    for table in read_pieces(folder, "interactions"):
        rows = user_rows(table, users)
        for split in SPLITS:
            is_heard = column_values(table[split]) > 0
            counts[split] += np.bincount(rows[is_heard], minlength=len(users))
    if not counts["training"].any():
        raise SearchError(
            "no training session has listening time that counts "
            f"(feedback.min_time {feedback.min_time}); "
            "at least one interaction is needed"
        )
    matrices = {split: new_matrix(folder, split, counts[split]) for split in SPLITS}
    for table in read_pieces(folder, "interactions"):
        rows = user_rows(table, users)
        columns = track_columns(column_values(table["track"]), tracks)
        for split, (indptr, indices, values) in matrices.items():
            times = column_values(table[split])
            heard = np.flatnonzero(times > 0)
            position = _positions(rows[heard], indptr)
            indices[position] = columns[heard]
            values[position] = SCALES[feedback.scale](times[heard])
    write_by_track(folder, "training", training_tracks)
    write_by_track(folder, "all", len(tracks))
    return counts["training"]


def write_by_track(folder: Path, split: SplitName, tracks: int) -> None:
    """Write the matrix of a split by track too, some interactions at a time."""
    indptr = np.load(folder / f"{split}-indptr.npy")
    edges = np.searchsorted(indptr, np.arange(0, indptr[-1], _AT_ONCE))
    edges = np.unique(np.append(edges, len(indptr) - 1)).tolist()
    blocks = [load_matrix(folder, split, tracks, *ends) for ends in pairwise(edges)]
    counts = np.zeros(tracks, np.int64)
    for block in blocks:
        counts += np.bincount(block.indices, minlength=tracks)
    starts, indices, values = new_matrix(folder, BY_TRACK.format(split), counts)
    begin = starts[:-1].copy()
    for first, block in zip(edges, blocks, strict=False):
        by_track = csr_matrix(block.T)
        added = np.diff(by_track.indptr)
        shift = np.repeat(begin - by_track.indptr[:-1], added)
        position = np.arange(by_track.nnz) + shift
        indices[position] = by_track.indices + first
        values[position] = by_track.data
        begin += added


def write_plays(folder: Path, users: IntArray, tracks: IntArray) -> None:
    """Write plays and skips by user, the oldest first; a table has all of its users', in order."""
    counts = np.zeros(len(users), np.int64)
    for table in read_pieces(folder, "plays"):
        counts += np.bincount(user_rows(table, users), minlength=len(users))
    indptr = offsets(counts)
    played = new_array(folder / PLAYS_TRACKS, np.int32, (int(indptr[-1]),))
    is_heldout = new_array(folder / PLAYS_HELDOUT, np.bool_, (int(indptr[-1]),))
    for table in read_pieces(folder, "plays"):
        position = _positions(user_rows(table, users), indptr)
        column = track_columns(column_values(table["track"]), tracks)
        is_skip = column_values(table["skipped"]) > 0
        played[position] = np.where(is_skip, turn(column), column)
        is_heldout[position] = column_values(table["heldout"]) > 0
    save_array(folder / PLAYS_INDPTR, indptr)


def _positions(rows: IntArray, indptr: IntArray) -> IntArray:
    """Compute where values of ascending rows belong, all of a row being here, shape (values,)."""
    shifts = indptr[1:] - np.bincount(rows, minlength=len(indptr) - 1).cumsum()
    position: IntArray = np.arange(len(rows)) + shifts[rows]
    return position
