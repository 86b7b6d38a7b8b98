"""A search whose store and run are at s3://, when a machine is lost or the server is silent."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.programs import kill_all
from tests.recsys.logs import random_sessions, write_log
from tests.recsys.s3 import BUCKET, S3
from tests.waiting import wait_until

STORE, RUN = f"s3://{BUCKET}/store", f"s3://{BUCKET}/run"
# Keeps the search busy for long enough to be found at work.
SEARCH = """
models: {als: {factors: [8, 16]}}
search: {iterations: 20}
export: {publish_anyway: true}
cluster: {workers: 1}
"""
pytestmark = pytest.mark.slow


def ledger(s3: S3) -> bytes:
    return s3.get("run/ledger.jsonl") or b""


def test_a_search_whose_machine_is_lost_goes_on_from_another_one(
    s3: S3, tmp_path: Path
) -> None:
    """Earlier scores stay, and a third machine exports the run."""
    sessions = random_sessions(5, listeners=100, tracks=300, sessions=1200)
    log = write_log(tmp_path / "log.jsonl", sessions, tracks=300)
    config = tmp_path / "search.yaml"
    config.write_text(f"store: {STORE}\nrun: {RUN}\n{SEARCH}")
    done = s3.run("recsys.ingest", str(log), "--store", STORE)
    assert done.returncode == 0, done.stderr
    words = ["recsys.search", "--config", str(config)]
    search = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=s3.environment("lost"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(ledger(s3).splitlines()) >= 2, "a score", [search])
    finally:
        kill_all(search)
    shutil.rmtree(s3.folder / "lost")
    before = ledger(s3)
    assert s3.get("run/winner.json") is None

    s3.expire_lock("run")
    done = s3.run(*words, scratch="other")
    assert done.returncode == 0, done.stderr
    assert ledger(s3).startswith(before)
    out = tmp_path / "out"
    done = s3.run("recsys.export", "--run", RUN, "--out", str(out), scratch="empty")
    assert done.returncode == 0, done.stderr
    assert (out / "current" / "recommendations.jsonl").exists()


# Reads and writes a file; again when it is told that the server is silent, with bounds of a second.
ASK = """
import sys
from recsys import storage
from recsys.errors import StorageError

there = storage.open_workspace("s3://music/silent")
there.folder.mkdir(parents=True)
(there.folder / "file").write_text("content")
there.upload("file")
print(there.read("file"), flush=True)
sys.stdin.readline()
storage._S3_TIMEOUTS |= {"connect_timeout": 1, "read_timeout": 1}
storage._SEND_S = 1.0
for ask in (there.read, there.upload):
    try:
        ask("file")
    except StorageError as error:
        print(error, flush=True)
"""


def test_a_silent_server_is_one_line(s3: S3) -> None:
    """Its process stands still, and its port accepts all the same."""
    children = psutil.Process().children()
    moto = next(child for child in children if "moto.server" in child.cmdline())
    with subprocess.Popen(
        [sys.executable, "-c", ASK],
        env=s3.environment("silent"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "b'content'\n"
        moto.send_signal(signal.SIGSTOP)
        try:
            printed, _ = process.communicate("silent\n", timeout=300)
        finally:
            moto.send_signal(signal.SIGCONT)
    assert process.returncode == 0
    lines = printed.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"s3://{BUCKET}/silent/file: ") for line in lines)
