"""Cut a share of a dataset's listeners into a dataset of its own, beside it in the cache: for a first, cheap cut."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.arrays import IntArray
from looplib.files import atomic_directory, digest_of
from looplib.randomness import make_generator
from recsys.dataset.buckets import COUNTS
from recsys.dataset.dataset import CSR, Dataset, open_dataset, write_summary
from recsys.errors import SplitError
from recsys.workspace import open_workspace


def sample_listeners(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Open the dataset of a share of the listeners, made where it is not cached; its tracks are the whole catalogue.

    Args:
        dataset: The whole dataset.
        share: Share of its listeners, above 0 and below 1; at least one is drawn.
        seed: Decides which.

    Raises:
        SplitError: The sample holds nothing to learn from.
    """
    digest = digest_of([dataset.summary.digest, share, seed])[:16]
    sample = open_workspace(f"{dataset.address.rpartition('/')[0]}/{digest}")
    if not sample.download_all():
        listeners = len(dataset.users)
        generator = make_generator(seed, "sample of listeners")
        rows = np.sort(generator.choice(listeners, size=max(1, round(share * listeners)), replace=False))
        with atomic_directory(sample.folder) as folder:
            _write(folder, digest, dataset, rows)
        sample.upload_all()
    return open_dataset(sample.address)


def _write(folder: Path, digest: str, dataset: Dataset, rows: IntArray) -> None:
    """Write what fits and scores read: the training interactions and the held-out listening of some rows."""
    train, skips = dataset.matrix("train")[rows], dataset.skips("train")
    if not train.nnz:
        raise SplitError(
            f"search.halving.listeners: the {len(rows)} listeners drawn have no training interaction; raise the share"
        )
    for column, matrix in (("train", train), ("train_skips", None if skips is None else skips[rows])):
        if matrix is not None:
            for name, array in zip(CSR, (matrix.data, matrix.indices, matrix.indptr), strict=True):
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
    write_summary(folder, digest, {name: getattr(dataset.summary, name) for name in COUNTS})
