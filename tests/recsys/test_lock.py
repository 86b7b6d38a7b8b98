"""One process writes to an address at a time; the lock of a silent one is taken over."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from recsys import lock
from recsys.errors import StorageError
from recsys.lock import LOCK, hold_lock
from recsys.storage import Workspace, open_files, open_workspace
from tests.waiting import wait_until


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "here"))
    return open_workspace(f"memory://bucket-{uuid4().hex}")


def hold_elsewhere(there: Workspace, holder: bytes) -> None:
    """Leave a lock that a process of another machine holds."""
    there.folder.mkdir(parents=True, exist_ok=True)
    (there.folder / LOCK).write_bytes(holder)
    there.upload(LOCK)


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
    hold_elsewhere(there, b"process 4711 on node2\nid")
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
    hold_elsewhere(there, b"another")
    read = Workspace.read

    def released(workspace: Workspace, name: str) -> bytes | None:
        holder = read(workspace, name)
        workspace.delete(LOCK)
        monkeypatch.setattr(Workspace, "read", read)
        return holder

    monkeypatch.setattr(Workspace, "read", released)
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
        hold_elsewhere(there, b"a process on node2")
        with pytest.raises(StorageError, match="on node2 took over"):
            held.check()
    assert there.names() == {LOCK}  # the other's stays
