"""Ingest under kill -9, at every step of its commit and on a full disk: a store stays whole."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from analysis.store import Store
from recsys.ingest import pipeline as ingest
from recsys.store.remote import open_store
from tests.recsys.events import event, read_rows, write_log

EVENTS = 10_000


@dataclass(frozen=True)
class Content:
    """All that a store says: its digest, the number of its events, its rows."""

    digest: str
    events: int
    rows: tuple[str, ...]


def make_log(file: Path, seed: int, count: int = EVENTS) -> Path:
    generator = np.random.default_rng(seed)
    users, tracks = (
        generator.integers(500, size=count).tolist(),
        generator.integers(1000, size=count).tolist(),
    )
    start = 1_767_225_600_000
    pairs = enumerate(zip(users, tracks, strict=True))
    rows = [
        event(user=user, track=track, timestamp=start + number)
        for number, (user, track) in pairs
    ]
    return write_log(file, rows, more=b"garbage\n")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("logs")
    return [
        make_log(folder / f"{seed}.jsonl", seed, EVENTS if seed else 1000)
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def undisturbed(logs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    ingest.ingest(logs[:1], store)
    return ingest.ingest(logs, store).store


def content(store: Store) -> Content:
    return Content(
        store.manifest.digest,
        store.manifest.events,
        tuple(sorted(map(repr, read_rows(store)))),
    )


def start(logs: list[Path], store: Path, **limits: int) -> subprocess.Popen[str]:
    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    argv = [
        sys.executable,
        "-m",
        "recsys.ingest",
        *map(str, logs),
        "--store",
        str(store),
    ]
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit if limits else None,
    )


def assert_nothing_is_left_over(store: Path) -> None:
    named = {part.path for part in open_store(store).manifest.parts}
    named |= {
        f"rejects/{source.digest}.jsonl"
        for source in open_store(store).manifest.sources
    }
    assert {
        file.relative_to(store).as_posix()
        for file in store.rglob("*")
        if file.is_file()
    } == {
        "manifest.json",
        ".lock",
    } | named


def test_killed_at_any_moment_the_store_is_as_before_or_after_and_a_second_run_completes_it(
    logs: list[Path], undisturbed: Store, tmp_path: Path
) -> None:
    began = time.monotonic()
    whole = start(logs, tmp_path / "timed")
    whole.communicate()
    duration = time.monotonic() - began
    before = content(ingest.ingest(logs[:1], tmp_path / "reference").store)
    after = content(undisturbed)
    for number, moment in enumerate((0.6, 0.9)):
        store = tmp_path / f"store-{number}"
        ingest.ingest(logs[:1], store)
        process = start(logs, store)
        time.sleep(moment * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert content(open_store(store)) in (before, after)
        assert content(ingest.ingest(logs, store).store) == after
        assert_nothing_is_left_over(store)


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[Path], Content, Content]:
    folder = tmp_path_factory.mktemp("small")
    logs = [make_log(folder / f"{seed}.jsonl", seed, count=20) for seed in range(2)]
    before = content(ingest.ingest(logs[:1], folder / "store", partitions=2).store)
    return logs, before, content(ingest.ingest(logs, folder / "store").store)


class PowerCutError(BaseException):
    """Stops the program where it stands; nothing may be tidied up after it."""


# The steps of a whole ingest into two partitions: the folders, syncs and renames, and clearing up.
STEPS = 23


@pytest.mark.parametrize("step", range(2, STEPS + 1))
def test_cut_at_any_step_of_the_commit_the_store_is_as_before_or_after(
    small: tuple[list[Path], Content, Content],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    logs, before, after = small
    ingest.ingest(logs[:1], tmp_path / "store", partitions=2)
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
            ingest.ingest(logs, tmp_path / "store")
    assert (step < count) == (step < STEPS), "STEPS is no longer their number"
    assert content(open_store(tmp_path / "store")) in (before, after)
    assert content(ingest.ingest(logs, tmp_path / "store").store) == after
    assert_nothing_is_left_over(tmp_path / "store")


@pytest.mark.parametrize("largest_file", [0, 100_000])
def test_a_full_disk_is_one_line_and_leaves_the_store_as_it_was(
    logs: list[Path], undisturbed: Store, tmp_path: Path, largest_file: int
) -> None:
    store = tmp_path / "store"
    before = content(ingest.ingest(logs[:1], store).store)
    process = start(logs, store, RLIMIT_FSIZE=largest_file)
    printed, complaint = process.communicate()
    assert process.returncode == 2, complaint
    assert printed == ""
    (line,) = [
        line
        for line in complaint.splitlines()
        if not line.startswith(("ingest: ", "sort: "))
    ]
    assert line.startswith("listening-loop ingest: error: ")
    assert "File too large" in line
    assert content(open_store(store)) == before
    assert content(ingest.ingest(logs, store).store) == content(undisturbed)
    assert_nothing_is_left_over(store)
