"""Assemble the arrays of a dataset from the files of its buckets, one bucket in memory at a time."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.arrays import AnyIntArray, Float32Array, IntArray
from recsys.config import Feedback
from recsys.dataset.buckets import Kind
from recsys.errors import SplitError


def assemble(folder: Path, catalogue: int | None, feedback: Feedback) -> None:
    """Join the buckets' files into the arrays and tables that `recsys.dataset.dataset` describes, in order of ids.

    Args:
        folder: Where `prepare_bucket` left the files, and where the arrays go; the files are deleted.
        catalogue: Number of tracks; None for those of the files.
        feedback: How sums become interactions, and whether there are skips.

    Raises:
        SplitError: There is nothing to learn from, or too much for one matrix.
        OSError: The disk is full.
    """
    users = np.sort(_read(folder, "listeners")["user"].to_numpy())
    known = np.unique(_read(folder, "tracks")["track"].to_numpy())
    tracks = known if catalogue is None else np.arange(catalogue)
    for side in ("train", "total"):
        interactions = _write_matrix(folder, side, users, tracks, is_log=feedback.scale == "log")
        if not interactions:
            raise SplitError(
                f"no training session has listening time that counts (feedback.organic {feedback.organic}, "
                f"feedback.min_time {feedback.min_time}); at least one interaction is needed"
            )
        if feedback.skip_time:
            _write_matrix(folder, f"{side}_skips", users, tracks, is_log=False)
    _write_tables(folder, users, tracks)
    _save(folder / "users.npy", users)
    _save(folder / "tracks.npy", tracks)
    for file in folder.glob("*-*.parquet"):
        file.unlink()


def _write_tables(folder: Path, users: IntArray, tracks: IntArray) -> None:
    """Write held-out listening (by row, then column), held-out sessions (by row), and lengths of sessions."""
    heard = _read(folder, "heldout")
    rows, columns = _positions(heard, users, tracks)
    order = np.lexsort((columns, rows))
    heldout = {"user": rows[order], "track": columns[order], "time": heard["time"].to_numpy()[order]}
    pq.write_table(pa.table(heldout), folder / "heldout.parquet")
    if _files(folder, "logged"):
        events = _read(folder, "logged")
        rows, columns = _positions(events, users, tracks)
        events = events.set_column(0, "user", pa.array(rows)).set_column(2, "track", pa.array(columns))
        pq.write_table(events.take(np.argsort(rows, kind="stable")), folder / "logged.parquet")
    lengths = _read(folder, "lengths").group_by("length").aggregate([("sessions", "sum")])
    pq.write_table(lengths.rename_columns(["length", "sessions"]).sort_by("length"), folder / "lengths.parquet")


def _write_matrix(folder: Path, column: str, users: IntArray, tracks: IntArray, *, is_log: bool) -> int:
    """Write a CSR matrix of the positive values of a column; returns how many there are."""
    counts = np.zeros(len(users), dtype=np.int64)
    for file in _files(folder, "interactions"):
        rows, _, _ = _read_column(file, column, users, tracks)
        counts += np.bincount(rows, minlength=len(users))
    indptr = np.concatenate([[0], counts.cumsum()])
    size = int(indptr[-1])
    # scipy wants indptr and indices of one type; implicit's solver takes 32 bits.
    if size > np.iinfo(np.int32).max:
        raise SplitError(f"{size:,} interactions; at most {np.iinfo(np.int32).max:,} fit into one matrix")
    _save(folder / f"{column}-indptr.npy", indptr.astype(np.int32))
    indices = new_array(folder / f"{column}-indices.npy", np.int32, (size,))
    values = new_array(folder / f"{column}-values.npy", np.float32, (size,))
    for file in _files(folder, "interactions"):
        rows, columns, sums = _read_column(file, column, users, tracks)
        # The values of a row are together and in order, so its n-th goes n positions after its first.
        distinct, first, count = np.unique(rows, return_index=True, return_counts=True)
        position = np.arange(len(rows)) + np.repeat(indptr[distinct] - first, count)
        indices[position] = columns
        values[position] = np.log1p(sums) if is_log else sums
    return size


def _read_column(
    file: Path, column: str, users: IntArray, tracks: IntArray
) -> tuple[AnyIntArray, AnyIntArray, Float32Array]:
    """Read rows, columns and positive values of one bucket, by row, then column."""
    table = pq.read_table(file, columns=["user", "track", column])
    table = table.filter(pa.array(table[column].to_numpy() > 0))
    return *_positions(table, users, tracks), table[column].to_numpy()


def _positions(table: pa.Table, users: IntArray, tracks: IntArray) -> tuple[AnyIntArray, AnyIntArray]:
    """Find the row of each user and the column of each track."""
    return np.searchsorted(users, table["user"].to_numpy()), np.searchsorted(tracks, table["track"].to_numpy())


def _files(folder: Path, kind: Kind) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*.parquet"))


def _read(folder: Path, kind: Kind) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in _files(folder, kind))


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    new_array(file, array.dtype.type, array.shape)[:] = array


def new_array(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[Any]]":
    """Create an array file, mapped for writing, with its space on the disk reserved.

    Raises:
        OSError: The disk is full; without the reservation, writing to the map would kill the process instead.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    with file.open("r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return mapped
