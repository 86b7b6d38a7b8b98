"""From the buckets' files to the arrays of a dataset, which `recsys.dataset` describes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.arrays import Float32Array, IntArray
from recsys.config import Feedback
from recsys.dataset import buckets as interactions
from recsys.errors import SplitError


@dataclass(frozen=True)
class Sizes:
    """How large the matrices are.

    Attributes:
        listeners: Listeners of the log, rows of the matrices.
        tracks: Tracks of the catalogue (of the log where the catalogue is unknown), columns of the matrices.
        interactions: Stored values of the training matrix.
        training_listeners: Listeners with at least one training interaction.
    """

    listeners: int
    tracks: int
    interactions: int
    training_listeners: int


def assemble(folder: Path, buckets: Sequence[int], catalogue: int | None, feedback: Feedback) -> Sizes:
    """Joins the buckets' files into arrays in the order of ids, one bucket in memory at a time.

    Args:
        folder: Where `recsys.dataset.buckets.prepare_bucket` left the files, and where the arrays go.
        buckets: The buckets' numbers.
        catalogue: Number of tracks; None for those of the files.
        feedback: How sums become interactions, and whether there are skips.

    Raises:
        SplitError: There is nothing to learn from, or too much for one matrix.
        OSError: The disk is full.
    """
    listeners = [pq.read_table(interactions.listeners_file(folder, bucket))["user"].to_numpy() for bucket in buckets]
    users = np.sort(np.concatenate(listeners))
    tracks = np.arange(catalogue) if catalogue is not None else _distinct_tracks(folder, buckets)
    for side in ("train", "total"):
        _write_matrix(folder, side, buckets, users, tracks, is_log=feedback.scale == "log")
        if feedback.skip_time:
            _write_matrix(folder, f"{side}_skips", buckets, users, tracks, is_log=False)
    pq.write_table(_heldout_table(folder, buckets, users, tracks), folder / "heldout.parquet")
    if any(interactions.logged_file(folder, bucket).exists() for bucket in buckets):
        pq.write_table(_logged_table(folder, buckets, users, tracks), folder / "logged.parquet")
    pq.write_table(_lengths_table(folder, buckets), folder / "lengths.parquet")
    _save(folder / "users.npy", users)
    _save(folder / "tracks.npy", tracks)
    indptr = np.load(folder / "train-indptr.npy")
    sizes = Sizes(len(users), len(tracks), int(indptr[-1]), int(np.count_nonzero(np.diff(indptr))))
    if not sizes.interactions:
        raise SplitError(
            f"no training session has listening time that counts (feedback.organic {feedback.organic}, "
            f"feedback.min_time {feedback.min_time}); at least one interaction is needed"
        )
    for file in folder.glob("*-[0-9][0-9][0-9].parquet"):
        file.unlink()
    return sizes


def _heldout_table(folder: Path, buckets: Sequence[int], users: IntArray, tracks: IntArray) -> pa.Table:
    """The held-out listening of all buckets, by row, then column."""
    heard = pa.concat_tables(pq.read_table(interactions.heldout_file(folder, bucket)) for bucket in buckets)
    rows = np.searchsorted(users, heard["user"].to_numpy())
    columns = np.searchsorted(tracks, heard["track"].to_numpy())
    order = np.lexsort((columns, rows))
    return pa.table({"user": rows[order], "track": columns[order], "time": heard["time"].to_numpy()[order]})


def _logged_table(folder: Path, buckets: Sequence[int], users: IntArray, tracks: IntArray) -> pa.Table:
    """The held-out sessions of all buckets, by row, session and place in it."""
    events = pa.concat_tables(pq.read_table(interactions.logged_file(folder, bucket)) for bucket in buckets)
    rows = np.searchsorted(users, events["user"].to_numpy())
    columns = np.searchsorted(tracks, events["track"].to_numpy())
    as_rows = events.set_column(0, "user", pa.array(rows)).set_column(2, "track", pa.array(columns))
    return as_rows.take(np.argsort(rows, kind="stable"))


def _lengths_table(folder: Path, buckets: Sequence[int]) -> pa.Table:
    lengths = pa.concat_tables(pq.read_table(interactions.lengths_file(folder, bucket)) for bucket in buckets)
    return (
        lengths.group_by("length")
        .aggregate([("sessions", "sum")])
        .rename_columns(["length", "sessions"])
        .sort_by("length")
    )


def _distinct_tracks(folder: Path, buckets: Sequence[int]) -> IntArray:
    tables = (pq.read_table(interactions.tracks_file(folder, bucket)) for bucket in buckets)
    return np.unique(np.concatenate([table["track"].to_numpy() for table in tables]))


def _write_matrix(
    folder: Path,
    column: str,
    buckets: Sequence[int],
    users: IntArray,
    tracks: IntArray,
    *,
    is_log: bool,
) -> None:
    counts = np.zeros(len(users), dtype=np.int64)
    for bucket in buckets:
        rows, _, _ = _read_column(folder, column, bucket, users, tracks)
        counts += np.bincount(rows, minlength=len(users))
    indptr = np.concatenate([[0], counts.cumsum()])
    size = int(indptr[-1])
    # scipy wants indptr and indices of one type; implicit's solver takes 32 bits.
    if size > np.iinfo(np.int32).max:
        raise SplitError(f"{size:,} interactions; at most {np.iinfo(np.int32).max:,} fit into one matrix")
    _save(folder / f"{column}-indptr.npy", indptr.astype(np.int32))
    indices = new_array(folder / f"{column}-indices.npy", np.int32, (size,))
    values = new_array(folder / f"{column}-values.npy", np.float32, (size,))
    for bucket in buckets:
        rows, columns, sums = _read_column(folder, column, bucket, users, tracks)
        # The rows of a listener are together and ascending, so its n-th row goes n places after its first.
        distinct, first, count = np.unique(rows, return_index=True, return_counts=True)
        place = np.arange(len(rows)) + np.repeat(indptr[distinct] - first, count)
        indices[place] = columns
        values[place] = np.log1p(sums) if is_log else sums
    indices.flush()
    values.flush()


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    mapped = new_array(file, array.dtype.type, array.shape)
    mapped[:] = array
    mapped.flush()


def new_array(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[Any]]":
    """A new array file, mapped for writing, with its place on the disk taken.

    Raises:
        OSError: The disk is full; without the reservation, writing to the map would kill the process instead.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    with file.open("r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return mapped


def _read_column(
    folder: Path, column: str, bucket: int, users: IntArray, tracks: IntArray
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Float32Array]:
    """Rows, columns and positive values of one bucket, by row, then column."""
    table = pq.read_table(interactions.interactions_file(folder, bucket), columns=["user", "track", column])
    values = table[column].to_numpy()
    positive = values > 0
    rows = np.searchsorted(users, table["user"].to_numpy()[positive])
    columns = np.searchsorted(tracks, table["track"].to_numpy()[positive])
    return rows, columns, values[positive]
