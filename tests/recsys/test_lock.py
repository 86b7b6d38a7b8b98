"""One process writes to an address at a time; the lock of a silent one is taken over."""

import os
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from recsys import lock
from recsys.errors import StorageError
from recsys.lock import LOCK, Holder, hold_lock
from recsys.workspace import Workspace, open_files, open_workspace
from tests.waiting import wait_until


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "here"))
    return open_workspace(f"memory://bucket-{uuid4().hex}")


def write_lock(there: Workspace, holder: Holder) -> None:
    (there.folder / LOCK).write_bytes(orjson.dumps(holder))
    there.upload(LOCK)


def held_by(there: Workspace, name: str = "another") -> None:
    """Leave a lock that a process of another machine holds."""
    there.folder.mkdir(parents=True, exist_ok=True)
    write_lock(there, Holder(uuid4().hex, name))


def test_a_second_process_is_refused_and_the_lock_released(there: Workspace) -> None:
    with hold_lock(there, "search") as held:
        refused = pytest.raises(
            StorageError,
            match=rf"another search is at work here \(process {os.getpid()} on ",
        )
        with refused, hold_lock(there, "search"):
            pytest.fail("two at once")
        held.check()
    assert there.names() == set()


def test_only_silence_says_that_a_process_is_dead(
    there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(there, "process 4711 on node2")
    refused = pytest.raises(
        StorageError, match=r"process 4711 on node2, last heard from \d+ s ago"
    )
    with refused, hold_lock(there, "search"):
        pytest.fail("two at once")
    monkeypatch.setattr(lock, "EXPIRY_S", 0.0)
    with hold_lock(there, "search") as held:
        held.check()


def test_a_lock_that_is_released_meanwhile_is_taken(
    there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(there)
    read = lock._read

    def released(workspace: Workspace) -> Holder | None:
        found = read(workspace)
        workspace.delete(LOCK)
        monkeypatch.setattr(lock, "_read", read)
        return found

    monkeypatch.setattr(lock, "_read", released)
    with hold_lock(there, "search") as held:
        held.check()
    assert there.names() == set()


def test_a_holder_gives_signs_of_life(
    there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SIGN_S", 0.01)
    with hold_lock(there, "search"), open_files(there.address, LOCK) as files:
        first = files.modified(LOCK)
        wait_until(lambda: files.modified(LOCK) > first, "a sign")


def test_a_process_that_was_taken_for_dead_writes_no_more(there: Workspace) -> None:
    with hold_lock(there, "search") as held:
        write_lock(there, Holder("other", "a process on node2"))
        with pytest.raises(StorageError, match="on node2 took over"):
            held.check()
    assert there.names() == {LOCK}  # the other's stays


@pytest.mark.parametrize("content", [b"{", b'{"id": "\xff"}'])
def test_a_damaged_lock_is_one_line(there: Workspace, content: bytes) -> None:
    there.folder.mkdir(parents=True)
    (there.folder / LOCK).write_bytes(content)
    there.upload(LOCK)
    with pytest.raises(StorageError, match="damaged"), hold_lock(there, "search"):
        pytest.fail("held")
