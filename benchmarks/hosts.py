"""What the largest worker of a fit in blocks holds, on hosts that share no folder: 1, 2 and 4 of them.

    python -m benchmarks.hosts memory --store out/seed/store

Every host is a network namespace with a disk of its own; the store is at s3://, on a server of another host. A worker's
memory is its share (PSS), sampled 50 times a second while the blocks are cut and fitted, above what it holds before,
with all that a fit imports and a connection to the store. It takes root. The dataset is built before that.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.blocks import SEED, dataset_of, digest_of
from benchmarks.measure import machine, peaks_of
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster
from recsys.cluster_config import ClusterConfig
from recsys.models.als import AlsParams
from recsys.workspace import open_workspace
from tests.hosts import Host, network
from tests.machines import Machine, make_machine, object_store
from tests.recsys.by_hand import scheduler
from tests.recsys.s3 import BUCKET

LIBRARIES = ("implicit", "dask", "s3fs", "numpy", "scipy")
PUT = f"import s3fs, sys; s3fs.S3FileSystem().put(sys.argv[1], '{BUCKET}/store', recursive=True)"
STORE = f"s3://{BUCKET}/store"
WARM_UP = f"""
import sys
from distributed import Client
from recsys.workspace import open_workspace

client = Client(sys.argv[1])
client.run(__import__, "recsys.blockwise.worker")
client.run(open_workspace("{STORE}").sizes)
"""
WORKERS = (1, 2, 4)
app = typer.Typer(add_completion=False)


@app.command()
def memory(store: Annotated[Path, typer.Option()] = Path("out/seed/store"), factors: int = 64, sweeps: int = 2) -> None:
    """The largest worker of 1, 2 and 4."""
    table = Table("hosts", "largest worker, MiB", "idle, MiB", "the fit's, MiB", "factors")
    with tempfile.TemporaryDirectory() as made, network(3 + max(WORKERS)) as (of_objects, of_scheduler, *of_others):
        folder = Path(made)
        with object_store(of_objects, folder) as s3:
            desk, *workers = (make_machine(host, folder, s3) for host in of_others)
            desk.run("-c", PUT, f"{store.absolute()}/")
            with _cluster(folder, of_scheduler, workers[:1]) as (address, _):
                desk.run("-m", "benchmarks.hosts", "dataset", address)
            for number in WORKERS:
                with _cluster(folder, of_scheduler, workers[:number]) as (address, pids):
                    desk.run("-c", WARM_UP, address)
                    idle = max(_mib(pids).values())
                    with peaks_of(partial(_mib, pids)) as peaks:
                        digest = desk.run("-m", "benchmarks.hosts", "fit", address, str(factors), str(sweeps))
                    largest = max(peaks.values())
                    cells = (f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}", digest.strip())
                    table.add_row(str(number), *cells)
    Console(width=120).print(table)
    print(machine(*LIBRARIES))


@app.command()
def dataset(address: str) -> None:
    """Has the dataset built, from the host that searches."""
    with open_cluster(ClusterConfig(scheduler=address)) as cluster:
        dataset_of(STORE, cluster)


@app.command()
def fit(address: str, factors: int, sweeps: int) -> None:
    """The fit, from the host that searches; prints the digest of its factors."""
    with open_cluster(ClusterConfig(scheduler=address)) as cluster:
        folder = open_workspace(f"s3://{BUCKET}/fit-{cluster.slots()}")
        blocks = cut_blocks(cluster, dataset_of(STORE, cluster), "train", folder.sub("blocks"))
        print(digest_of(fit_blocks(cluster, blocks, AlsParams(factors, 0.1, 10.0), SEED, sweeps, folder.sub("fit"))))


@contextmanager
def _cluster(folder: Path, host: Host, workers: Sequence[Machine]) -> Iterator[tuple[str, list[int]]]:
    """A scheduler's address, and the process ids of its workers, one on each machine."""
    own = Path(tempfile.mkdtemp(dir=folder))  # the file that a scheduler leaves must not be an earlier one's
    with scheduler(own, host=host.address, under=host.under) as (address, start_worker):
        yield address, [start_worker(under=each.under).pid for each in workers]


def _mib(pids: Sequence[int]) -> dict[int, float]:
    return {pid: psutil.Process(pid).memory_full_info().pss / 2**20 for pid in pids}


if __name__ == "__main__":
    app()
