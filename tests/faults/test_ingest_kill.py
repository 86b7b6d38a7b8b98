"""Ingest under kill -9, at every step of its commit and on a full disk: a store stays whole."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from recsys.ingest.pipeline import ingest
from recsys.store.reader import open_store
from tests.recsys.events import random_events, read_rows, write_log
from tests.waiting import wait_until

# The steps of a whole ingest into two partitions: the folders, syncs and renames, and clearing up.
STEPS = 27


@dataclass(frozen=True)
class Content:
    """All that a store says: its digest, the number of its events, its rows."""

    digest: str
    events: int
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """Two logs, and what a store says after the first and after both."""

    logs: list[Path]
    before: Content
    after: Content

    def begin(self, store: Path) -> None:
        ingest(self.logs[:1], store, partitions=2)

    def assert_completes(self, store: Path) -> None:
        """The store is as before or after the second ingest, and after another one whole."""
        assert content_of(store) in (self.before, self.after)
        ingest(self.logs, store)
        assert content_of(store) == self.after
        manifest = open_store(store).manifest
        names = {"manifest.json", ".lock", *(part.path for part in manifest.parts)}
        names |= {f"rejects/{source.digest}.jsonl" for source in manifest.sources}
        files = (file for file in store.rglob("*") if file.is_file())
        assert {file.relative_to(store).as_posix() for file in files} == names


def content_of(folder: Path) -> Content:
    store = open_store(folder)
    rows = sorted(map(repr, read_rows(store)))
    return Content(store.manifest.digest, store.manifest.events, tuple(rows))


def make_case(folder: Path, counts: tuple[int, int]) -> Case:
    logs = []
    for seed, count in enumerate(counts):
        rows = random_events(count, seed)
        logs.append(write_log(folder / f"{seed}.jsonl", rows, more=b"garbage\n"))
    ingest(logs[:1], folder / "store", partitions=2)
    before = content_of(folder / "store")
    ingest(logs, folder / "store")
    return Case(logs, before, content_of(folder / "store"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("small"), (20, 20))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("large"), (1000, 10_000))


def start(
    case: Case, store: Path, before: Callable[[], None] | None = None
) -> "subprocess.Popen[str]":
    words = [*map(str, case.logs), "--store", str(store)]
    return subprocess.Popen(
        [sys.executable, "-m", "recsys.ingest", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


@pytest.mark.slow
def test_killed_at_work_the_store_is_as_before_and_a_second_run_completes_it(
    large: Case, tmp_path: Path
) -> None:
    large.begin(store := tmp_path / "store")
    files = set(store.rglob("*"))
    with start(large, store) as process:
        wait_until(lambda: set(store.rglob("*")) != files, "its first file")
        process.send_signal(signal.SIGKILL)
    large.assert_completes(store)


class PowerCutError(BaseException):
    """Stops the program where it stands; nothing may be tidied up after it."""


@pytest.mark.parametrize("step", range(2, STEPS + 1))
def test_cut_at_any_step_of_the_commit_the_store_is_as_before_or_after(
    small: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    small.begin(store := tmp_path / "store")
    count = 0

    def cut(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count > step:
                raise PowerCutError
            return function(*args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "mkdir", "chmod"):
            patch.setattr(Path, name, cut(getattr(Path, name)))
        for name in ("fsync", "rmdir", "unlink"):
            patch.setattr(f"os.{name}", cut(getattr(os, name)))
        with suppress(PowerCutError):
            ingest(small.logs, store)
    assert (step < count) == (step < STEPS), "STEPS is no longer their number"
    small.assert_completes(store)


@pytest.mark.slow
@pytest.mark.parametrize("largest_file", [0, 100_000])
def test_a_full_disk_is_one_line_and_leaves_the_store_as_it_was(
    large: Case, tmp_path: Path, largest_file: int
) -> None:
    large.begin(store := tmp_path / "store")
    limit = (largest_file, largest_file)
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
    process = start(large, store, limited)
    printed, errors = process.communicate()
    assert (process.returncode, printed) == (2, ""), errors
    line = errors.splitlines()[-1]
    assert line.startswith("listening-loop ingest: error: ")
    assert "File too large" in line
    assert "Traceback" not in errors
    assert content_of(store) == large.before
    large.assert_completes(store)
