"""A share of a dataset's listeners as a dataset of its own, beside it in the cache: for a first, cheap cut."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.arrays import IntArray
from looplib.files import atomic_directory
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.errors import SplitError
from recsys.workspace import open_workspace


def sample_listeners(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The dataset of a share of the listeners, made where it is not cached; its tracks are the whole catalogue.

    Args:
        dataset: Whose listeners.
        share: How many of them, above 0 and below 1; at least one.
        seed: Decides which.

    Raises:
        SplitError: The sample holds nothing to learn from.
    """
    facts = orjson.dumps([dataset.summary.digest, share, seed])
    digest = hashlib.sha256(facts).hexdigest()[:16]
    sample = open_workspace(f"{dataset.address.rpartition('/')[0]}/{digest}")
    if not sample.download_all():
        with atomic_directory(sample.folder) as folder:
            _write(folder, digest, dataset, _draw(dataset, share, seed))
        sample.upload_all()
    return open_dataset(sample.address)


def _draw(dataset: Dataset, share: float, seed: int) -> IntArray:
    listeners = len(dataset.users)
    size = max(1, round(share * listeners))
    return np.sort(make_generator(seed, "sample of listeners").choice(listeners, size=size, replace=False))


def _write(folder: Path, digest: str, dataset: Dataset, rows: IntArray) -> None:
    """Writes what fits and scores read: the training interactions and the held-out listening of some rows."""
    train = dataset.matrix("train")[rows]
    if not train.nnz:
        raise SplitError(
            f"search.halving.listeners: the {len(rows)} listeners drawn have no training interaction; raise the share"
        )
    skips = dataset.skips("train")
    for column, matrix in (("train", train), ("train_skips", None if skips is None else skips[rows])):
        if matrix is not None:
            for name, array in (("values", matrix.data), ("indices", matrix.indices), ("indptr", matrix.indptr)):
                np.save(folder / f"{column}-{name}.npy", array)
    np.save(folder / "users.npy", dataset.users[rows])
    np.save(folder / "tracks.npy", dataset.tracks)
    for file in (dataset.heldout, dataset.logged):
        if file.exists():
            heard = pq.read_table(file)
            heard = heard.filter(pc.is_in(heard["user"], pa.array(rows)))
            users = np.searchsorted(rows, heard["user"].to_numpy())
            pq.write_table(heard.set_column(0, "user", pa.array(users)), folder / file.name)
    # Of the events and sessions only the whole is known.
    summary = replace(
        dataset.summary,
        digest=digest,
        listeners=len(rows),
        interactions=train.nnz,
        training_listeners=int(np.count_nonzero(np.diff(train.indptr))),
    )
    (folder / "dataset.json").write_bytes(orjson.dumps(asdict(summary), option=orjson.OPT_INDENT_2))
