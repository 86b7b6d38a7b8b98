"""One process writes below an address; a dead one's place is taken, and who was taken for dead writes no more."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recsys import remote_lock, storage
from recsys.errors import StorageError
from recsys.mirror import names_in
from recsys.places import place
from recsys.remote_lock import Holder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "here"))
    return place(f"file://{tmp_path}/there")


def held_by(folder: Path, **changes: object) -> Holder:
    """Leaves a lock that another process holds."""
    with remote_lock.remote_lock(folder, "search"):
        mine = msgspec.json.decode(storage.read(f"{folder}/.lock") or b"", type=Holder)
    other = replace(mine, id="other", **changes)  # type: ignore[arg-type]  # of any field
    storage.write(f"{folder}/.lock", msgspec.json.encode(other))
    storage.write(f"{folder}/.lock.alive-other", b"")
    return other


def test_a_path_needs_no_lock_object(tmp_path: Path) -> None:
    with remote_lock.remote_lock(tmp_path, "search") as lock:
        assert lock is None
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_refused_and_the_lock_given_back(folder: Path) -> None:
    with remote_lock.remote_lock(folder, "search") as lock:
        assert lock is not None
        lock.check()
        with (
            pytest.raises(StorageError, match=rf"another search is at work here \(process {os.getpid()} on "),
            remote_lock.remote_lock(folder, "search"),
        ):
            pytest.fail("two at once")
        lock.check()
    assert names_in(folder) == []


def test_a_process_of_this_machine_that_is_dead_is_followed_at_once(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    held_by(folder, pid=process.pid)
    with remote_lock.remote_lock(folder, "search") as lock:
        assert lock is not None
        lock.check()
    assert names_in(folder) == []


def test_the_number_of_a_dead_process_may_be_another_s(folder: Path) -> None:
    held_by(folder, started="1")
    with remote_lock.remote_lock(folder, "search"):
        pass


def test_of_another_machine_only_silence_says_that_a_process_is_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(folder, processes="another boot", host="node2", pid=4711)
    with (
        pytest.raises(StorageError, match=r"process 4711 on node2, last heard of \d+ s ago"),
        remote_lock.remote_lock(folder, "search"),
    ):
        pytest.fail("two at once")
    monkeypatch.setattr(remote_lock, "EXPIRY_S", 0.0)
    with remote_lock.remote_lock(folder, "search") as lock:
        assert lock is not None
        lock.check()


def test_two_do_not_follow_the_same_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(folder, processes="another boot")
    monkeypatch.setattr(remote_lock, "EXPIRY_S", 0.0)
    storage.write(f"{folder}/.lock.after-other", b"")
    with (
        pytest.raises(StorageError, match=r"another search is taking over .* remove .*\.lock\.after-other"),
        remote_lock.remote_lock(folder, "search"),
    ):
        pytest.fail("two at once")


def test_who_comes_late_to_a_dead_process_finds_its_follower(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = held_by(folder, started="1")
    read = remote_lock._read
    follower = replace(dead, id="follower")
    reads: list[str] = []

    def read_late(url: str) -> Holder | None:
        """Between the first look and the second another one takes over."""
        reads.append(url)
        if len(reads) == 2:
            storage.write(url, msgspec.json.encode(follower))
        return read(url)

    monkeypatch.setattr(remote_lock, "_read", read_late)
    with pytest.raises(StorageError, match="has just taken over"), remote_lock.remote_lock(folder, "search"):
        pytest.fail("two at once")
    assert read(f"{folder}/.lock") == follower


def test_who_was_taken_for_dead_writes_no_more(folder: Path) -> None:
    with remote_lock.remote_lock(folder, "search") as lock:
        assert lock is not None
        mine = msgspec.json.decode(storage.read(f"{folder}/.lock") or b"", type=Holder)
        storage.write(f"{folder}/.lock", msgspec.json.encode(replace(mine, id="other", host="node2")))
        with pytest.raises(StorageError, match="on node2 has taken over"):
            lock.check()
    assert names_in(folder) == [".lock"]  # the other's stays
