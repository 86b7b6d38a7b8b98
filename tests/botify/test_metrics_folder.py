import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from botify.__main__ import METRICS_PREFIX, metrics_folder

HOLDER = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from botify.__main__ import metrics_folder
with metrics_folder() as folder:
    (folder / "counter.db").write_bytes(b"1")
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_there_as_long_as_the_block(temporary: Path) -> None:
    with metrics_folder() as folder:
        assert folder.parent == temporary
        assert list(folder.iterdir()) == []
        (folder / "counter.db").write_bytes(b"1")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_service_left_goes_at_the_next_start_once_its_last_process_is_dead(temporary: Path) -> None:
    other = temporary / "not-ours"
    other.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(temporary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        left = Path(process.stdout.readline().strip())
        process.kill()
        process.wait(timeout=60)
        with metrics_folder():
            assert (left / "counter.db").exists(), "a worker of it lives"
        process.stdin.close()
        assert process.stdout.read() == ""  # the worker has ended
        with metrics_folder() as folder:
            assert sorted(temporary.glob(f"{METRICS_PREFIX}*")) == [folder]
    assert list(temporary.iterdir()) == [other]
