"""A search whose store and run are at s3://: the same bytes as on a disk, from any machine,
whatever dies."""

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, cast

import psutil
import pytest

from looplib.checksums import unseal
from looplib.cli import run
from recsys.search.__main__ import PROG, app
from tests.recsys.in_process import without_processes
from tests.recsys.ledgers import rows_of, untimed
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.s3 import BUCKET, S3, refusal, server
from tests.waiting import wait_until

STORE, RUN = f"s3://{BUCKET}/store", f"s3://{BUCKET}/run"
RECOMMENDATIONS = "recommendations.jsonl"
# Keeps the search busy for long enough to be found at work.
SEARCH = """
models: {als: {factors: [8, 16], alpha: [1, 10]}}
search: {iterations: 200, score_every: 100}
validation: {resamples: 100}
export: {publish_anyway: true}
cluster: {workers: 1, wait_for_workers_s: 300}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, a search, and what it finds on a disk."""
    folder = tmp_path_factory.mktemp("s3")
    make_store(
        folder, random_sessions(5, listeners=100, tracks=300, sessions=1200), tracks=300
    )
    config = folder / "search.yaml"
    config.write_text(f"store: {folder}/store\nrun: {folder}/run\n{SEARCH}")
    with without_processes():
        assert run(app, PROG, ["--config", str(config)]) == 0
    return folder


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with server(tmp_path_factory.mktemp("server")) as there:
        yield there


def words(folder: Path) -> list[str]:
    """The search, with its store and run at an address."""
    config = ("--config", str(folder / "search.yaml"))
    return ["recsys.search", *config, "--store", STORE, "--run", RUN]


def results(ledger: bytes) -> list[str]:
    """A ledger without its timings."""
    return untimed(rows_of(ledger))


def assert_same(s3: S3, run: str, local: Path) -> None:
    """The search at the address came to the same as the one on the disk, and left nothing but what
    it found."""
    assert results(s3.get(f"{run}/ledger.jsonl") or b"") == results(
        (local / "ledger.jsonl").read_bytes()
    )
    winners = s3.get(f"{run}/winner.json") or b"", (local / "winner.json").read_bytes()
    there, here = map(unseal, winners)
    # a configuration names its folder, and a leaderboard has the seconds of fits
    assert there.pop("files").keys() == here.pop("files").keys()
    assert there == here
    current = (s3.get(f"{run}/export/current") or b"").decode().strip()
    published = s3.get(f"{run}/export/{current}/{RECOMMENDATIONS}") or b""
    assert hashlib.sha256(published).hexdigest() == sha256_of(
        local / "export" / "current"
    )
    rest = {key.split("/")[1] for key in s3.keys(f"{run}/")}
    assert rest == {
        "config.yaml",
        "export",
        "leaderboard.parquet",
        "ledger.jsonl",
        "listeners",
        "report.html",
        "winner.json",
    }


def sha256_of(version: Path) -> str:
    found = hashlib.sha256((version / RECOMMENDATIONS).read_bytes()).hexdigest()
    assert (
        json.loads((version / "manifest.json").read_bytes())["files"][RECOMMENDATIONS][
            "sha256"
        ]
        == found
    )
    return found


class Searching:
    """A search as a process of its own."""

    def __init__(
        self, s3: S3, argv: list[str], scratch: str, endpoint: str | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *argv],
            env=s3.environment(scratch, endpoint),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        """Ends it and its workers, as if their machine had lost its power."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.communicate(timeout=60)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=60)


@contextmanager
def searching(
    s3: S3, argv: list[str], scratch: str, endpoint: str | None = None
) -> Iterator[Searching]:
    search = Searching(s3, argv, scratch, endpoint)
    try:
        yield search
    finally:
        if search.process.poll() is None:
            search.kill()


def lines(s3: S3, run: str) -> int:
    return len((s3.get(f"{run}/ledger.jsonl") or b"").splitlines())


def wait_for(search: Searching, condition: Callable[[], bool]) -> None:
    wait_until(condition, "the search", [search.process])


class Passing(BaseRequestHandler):
    """Passes on what comes, both ways."""

    def handle(self) -> None:
        there = cast("Passage", self.server).there
        with socket.create_connection(there) as other:
            back = threading.Thread(
                target=self._pass, args=(other, self.request), daemon=True
            )
            back.start()
            self._pass(self.request, other)
            back.join()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Passage(ThreadingTCPServer):
    """Another way to a server, which can be closed: then every connection breaks, and none is
    accepted."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self.there = (host, int(port))
        self._open: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), Passing)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        self._open.append(request)
        return request, address

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        for request in self._open:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


def test_a_lost_server_and_a_lost_machine_cost_no_score(
    s3: S3, folder: Path, tmp_path: Path
) -> None:
    """A server that is lost is one line; a search whose machine dies goes on from another one.

    Its run is exported from yet another.
    """
    done = s3.run(
        "recsys.ingest", str(folder / "log"), "--store", STORE, "--set", "buckets=4"
    )
    assert done.returncode == 0, done.stderr
    passage = Passage(s3.endpoint)
    with searching(s3, words(folder), "cut", passage.endpoint) as search:
        wait_for(search, lambda: lines(s3, "run") >= 2)
        first = s3.get("run/ledger.jsonl") or b""
        passage.close()
        _, errors = search.process.communicate(timeout=300)
    line = refusal(
        subprocess.CompletedProcess([], search.process.returncode, "", errors)
    )
    assert f"error: {RUN}" in line
    assert "Run the same command again to go on" in line

    s3.expire_lock("run")
    with searching(s3, words(folder), "lost") as search:
        wait_for(search, lambda: lines(s3, "run") > len(first.splitlines()))
        search.kill()
    shutil.rmtree(s3.folder / "lost")
    second = s3.get("run/ledger.jsonl") or b""
    assert second.startswith(first)
    assert s3.get("run/winner.json") is None

    s3.expire_lock("run")
    done = s3.run(*words(folder), scratch="found")
    assert done.returncode == 0, done.stderr
    assert f"ledger           {RUN}/ledger.jsonl" in done.stdout
    assert (s3.get("run/ledger.jsonl") or b"").startswith(second)
    assert_same(s3, "run", folder / "run")

    version = s3.keys("run/export/versions")
    for out in (str(tmp_path / "out"), f"{RUN}/export"):
        done = s3.run("recsys.export", "--run", RUN, "--out", out, scratch="empty")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "current").is_symlink()
    assert sha256_of(tmp_path / "out" / "current") == sha256_of(
        folder / "run" / "export" / "current"
    )
    assert s3.keys("run/export/versions") == version


# Reads and writes a file; again when it is told that the server is silent, with bounds of a second.
ASK = """
import sys
from recsys import workspace
from recsys.errors import StorageError

there = workspace.open_workspace("s3://music/silent")
there.folder.mkdir(parents=True)
(there.folder / "file").write_text("content")
there.upload("file")
print(there.read("file"), flush=True)
sys.stdin.readline()
workspace._S3_TIMEOUTS |= {"connect_timeout": 1, "read_timeout": 1}
workspace._SEND_S = 1.0
for ask in (there.read, there.upload):
    try:
        ask("file")
    except StorageError as error:
        print(error, flush=True)
"""


def test_a_silent_server_is_one_line(s3: S3) -> None:
    """Its process stands still, and its port accepts all the same."""
    server = next(
        child
        for child in psutil.Process().children()
        if "moto.server" in " ".join(child.cmdline())
    )
    with subprocess.Popen(
        [sys.executable, "-c", ASK],
        env=s3.environment("silent"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "b'content'\n"
        server.send_signal(signal.SIGSTOP)
        try:
            told, _ = process.communicate("silent\n", timeout=300)
        finally:
            server.send_signal(signal.SIGCONT)
    assert process.returncode == 0
    for line in told.splitlines():
        assert line.startswith(f"s3://{BUCKET}/silent/file: ")
    assert len(told.splitlines()) == 2
