import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from looplib.errors import UserError
from looplib.files import (
    TEMPORARY_PREFIX,
    atomic_directory,
    atomic_write,
    exclusive,
    remove_leftovers,
)


def fail_after(write: Callable[[Any], Any], content: object) -> None:
    write(content)
    raise RuntimeError


def test_a_written_file_replaces_the_earlier_one_when_it_is_whole(
    tmp_path: Path,
) -> None:
    file = tmp_path / "deep" / "file.txt"
    with atomic_write(file) as handle:
        handle.write(b"one")
        assert not file.exists()
    with atomic_write(file) as handle:
        handle.write(b"two")
    with pytest.raises(RuntimeError), atomic_write(file) as handle:
        fail_after(handle.write, b"half")
    assert file.read_bytes() == b"two"
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    whole, failed = tmp_path / "whole", tmp_path / "failed"
    with atomic_directory(whole) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")
        assert not whole.exists()
    assert (whole / "inner" / "file").read_text() == "x"
    with pytest.raises(FileExistsError), atomic_directory(whole):
        pass
    with pytest.raises(RuntimeError), atomic_directory(failed) as folder:
        fail_after((folder / "file").write_text, "x")
    assert list(tmp_path.iterdir()) == [whole]


def test_modes_follow_the_umask_or_the_file_that_is_replaced(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    before = os.umask(0o027)
    try:
        with atomic_write(file), atomic_directory(folder):
            pass
        assert [path.stat().st_mode & 0o777 for path in (file, folder)] == [
            0o640,
            0o750,
        ]
        file.chmod(0o604)
        for path in (file, tmp_path / "new"):
            with atomic_write(path, like=file):
                # a secret is never readable meanwhile
                (half,) = tmp_path.glob(f"{TEMPORARY_PREFIX}*")
                assert half.stat().st_mode & 0o777 == 0o604
            assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 4321, 1234)
    with atomic_write(tmp_path / "file"):
        pass
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (4321, 1234)


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(
    tmp_path: Path,
) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}file").write_text("x")
    (tmp_path / f"{TEMPORARY_PREFIX}folder").mkdir()
    (tmp_path / f"{TEMPORARY_PREFIX}folder" / "inner").write_text("x")
    (tmp_path / "kept").write_text("x")
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


@pytest.mark.parametrize("write", [atomic_write, atomic_directory])
def test_an_error_of_the_disk_names_the_path(
    tmp_path: Path, write: Callable[[Path], AbstractContextManager[object]]
) -> None:
    with pytest.raises(OSError, match="full") as caught, write(tmp_path / "new"):
        raise OSError("the disk is full")  # as Arrow does
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  as of a worker
    assert (error.filename, error.strerror) == (f"{tmp_path}/new", "the disk is full")
    lost = ConnectionResetError("a worker went away")  # no error of the disk
    with pytest.raises(ConnectionResetError) as caught, write(tmp_path / "new"):
        raise lost
    assert caught.value is lost


HOLD = """
import sys
from pathlib import Path
from looplib.files import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["folder", "file"])
def test_a_lock_refuses_other_processes_until_its_holder_dies(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    argv = [sys.executable, "-c", HOLD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="in use"):
            exclusive(path, UserError("in use")).__enter__()
        holder.kill()
    with exclusive(path, UserError("in use")):
        pass
