"""Where a search runs: schedulers that are there already, and disks that are full."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from recsys.cluster_config import ClusterConfig
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.store.remote import open_store
from tests.recsys.logs import make_store, random_sessions

SETTINGS = ["search.space.factors=[4, 8]", "search.sweeps=2", "validation.resamples=100"]


def search(folder: Path, store: Path, *extra: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "search.yaml"
    config.write_text(f"store: {store}\nrun: {folder / 'run'}\n")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    argv = [sys.executable, "-m", "recsys.search", "--config", str(config), *sets, *extra]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=200, tracks=900, sessions=3000)
    return make_store(tmp_path_factory.mktemp("clusters"), sessions, tracks=900)


@pytest.mark.dask
def test_an_existing_scheduler_gives_the_same_as_processes_of_our_own(store: Path, tmp_path: Path) -> None:
    """Two threads in one worker process: both cores are full, and trials share what the process has loaded."""
    own = search(tmp_path / "own", store)
    assert own.returncode == 0, own.stderr
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster:
        joined = search(tmp_path / "joined", store, "--scheduler", cluster.scheduler_address)
    assert joined.returncode == 0, joined.stderr
    assert f"1 workers, dashboard {cluster.dashboard_link}" in joined.stderr
    exported = "run/export/current/recommendations.jsonl"
    assert (tmp_path / "joined" / exported).read_bytes() == (tmp_path / "own" / exported).read_bytes()


@pytest.mark.dask
def test_a_scheduler_without_workers_is_one_line(store: Path, tmp_path: Path) -> None:
    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        done = search(tmp_path, store, "--scheduler", cluster.scheduler_address)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if "error:" in line)
    assert "the scheduler has no worker; start one with dask worker" in line
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def dataset_bytes(store: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    assert search(tmp_path_factory.mktemp("elsewhere"), store, "--no-export").returncode == 0
    return sum(file.stat().st_size for file in next((store / "cache").iterdir()).iterdir())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    store: Path, dataset_bytes: int, small_disk: Path, tmp_path: Path, share: float
) -> None:
    """The disk has room for a share of what the finished dataset takes."""
    shutil.copytree(store, small_disk / "store", ignore=shutil.ignore_patterns("cache"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * int(shutil.disk_usage(small_disk).free - share * dataset_bytes))
    done = search(tmp_path / "search", small_disk / "store")
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list((small_disk / "store").glob("cache/*")) == []
    ballast.unlink()
    assert search(tmp_path / "again", small_disk / "store").returncode == 0


def test_a_dataset_is_made_once(store: Path, tmp_path: Path) -> None:
    """The cache is found by its digest: a second search of the same data asks nothing of the cluster."""
    done = search(tmp_path / "first", store, "--no-export")
    assert done.returncode == 0, done.stderr
    config = SearchConfig(store=store, run=tmp_path / "second", cluster=ClusterConfig())
    notes: list[str] = []
    cluster: object = None  # asked for nothing, so none is needed
    build_dataset(open_store(store), config, cluster, lambda _, note: notes.append(note))  # type: ignore[arg-type]
    assert notes == ["cached"]
