"""A dataset is built once, and whole or not at all."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from recsys.config import SearchConfig, Split
from recsys.dataset.dataset import Dataset
from tests.recsys.logs import random_store
from tests.recsys.opened import dataset_of


@pytest.fixture(scope="module")
def store(folder: Path) -> Path:
    return random_store(folder, listeners=200, tracks=900, sessions=2000)


@pytest.fixture(scope="module")
def dataset(store: Path, folder: Path) -> Dataset:
    return dataset_of(SearchConfig(store=store, run=folder / "run"))


def test_searches_of_a_store_build_their_datasets_one_after_the_other(
    store: Path, tmp_path: Path
) -> None:
    """Two others, one of them of the same dataset, begin while the first is under way."""
    shutil.copytree(store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    configs = [
        SearchConfig(
            store=tmp_path / "store",
            run=tmp_path / f"run{number}",
            split=Split(holdout=holdout),
        )
        for number, holdout in enumerate((0.3, 0.3, 0.4))
    ]
    with ThreadPoolExecutor() as threads:
        others: list[Future[Dataset]] = []

        def begin_others(_done: float, _note: str) -> None:
            if not others:
                others.extend(
                    threads.submit(dataset_of, config) for config in configs[1:]
                )

        first = dataset_of(configs[0], begin_others)
        same, other = [future.result() for future in others]
    notes: list[str] = []
    again = dataset_of(configs[0], lambda _, note: notes.append(note))
    assert notes == ["cached"]
    assert first.summary == same.summary == again.summary
    assert other.summary.heldout_sessions > first.summary.heldout_sessions
    assert {file.name for file in (tmp_path / "store" / "cache").iterdir()} == {
        first.path.name,
        other.path.name,
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MiB, if this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    # this process still maps files of it
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, store: Path, dataset: Dataset, share: float) -> Path:
    """Copy the store to a disk and leave room for a share of the finished dataset.

    Returns:
        The file that fills the rest.
    """
    shutil.copytree(store, disk / "store", ignore=shutil.ignore_patterns("cache"))
    room = share * sum(file.stat().st_size for file in dataset.path.iterdir())
    (ballast := disk / "ballast").write_bytes(
        b"x" * int(shutil.disk_usage(disk).free - room)
    )
    return ballast


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_full_disk_leaves_nothing_half_written(
    store: Path, dataset: Dataset, small_disk: Path, tmp_path: Path, share: float
) -> None:
    ballast = fill(small_disk, store, dataset, share)
    config = SearchConfig(store=small_disk / "store", run=tmp_path / "run")
    with pytest.raises(OSError, match="No space left on device") as full:
        dataset_of(config)
    assert full.value.errno in (errno.ENOSPC, None)
    assert list((small_disk / "store").glob("cache/*")) == []
    ballast.unlink()
    assert dataset_of(config).summary == dataset.summary
