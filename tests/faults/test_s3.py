"""A search whose store and run are at s3://: the same bytes as on a disk, from any machine, whatever dies."""

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

from tests.recsys.by_hand import scheduler, wait_until
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.s3 import BUCKET, S3, server

STORE = f"s3://{BUCKET}/store"
RECOMMENDATIONS = "recommendations.jsonl"
FOUND = ("config.yaml", "leaderboard.parquet", "ledger.jsonl", "report.html", "winner.json")
SHORT = """
search: {space: {factors: [4, 8]}, sweeps: 2, score_every: 1}
validation: {resamples: 100}
cluster: {workers: 2, wait_for_workers_s: 300}
"""
# Keeps the search busy for long enough to be found at work.
LONG = """
search: {space: {factors: [16, 24], alpha: [1, 10]}, sweeps: 400, score_every: 200}
validation: {resamples: 100}
cluster: {workers: 1, wait_for_workers_s: 300}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3")
    make_store(folder, random_sessions(5, listeners=100, tracks=300, sessions=1200), tracks=300)
    (folder / "short.yaml").write_text(f"store: {folder}/store\nrun: {folder}/short\n{SHORT}")
    (folder / "long.yaml").write_text(f"store: {folder}/store\nrun: {folder}/long\n{LONG}")
    return folder


@pytest.fixture(scope="module")
def s3(folder: Path) -> Iterator[S3]:
    with server(folder) as there:
        done = there.run("recsys.ingest", str(folder / "log"), "--store", STORE, "--buckets", "4")
        assert done.returncode == 0, done.stderr
        yield there


@pytest.fixture(scope="module")
def short(folder: Path) -> Path:
    """A search on a disk."""
    return on_disk(folder, "short")


@pytest.fixture(scope="module")
def long(folder: Path) -> Path:
    """One of many sweeps."""
    return on_disk(folder, "long")


def on_disk(folder: Path, name: str) -> Path:
    argv = [sys.executable, "-m", "recsys.search", "--config", str(folder / f"{name}.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / name


def words(folder: Path, run: str, config: str, *extra: str) -> list[str]:
    """The search, with its store and run at an address."""
    at = ("--store", STORE, "--run", f"s3://{BUCKET}/{run}")
    return ["recsys.search", "--config", str(folder / f"{config}.yaml"), *at, *extra]


def results(ledger: bytes) -> list[str]:
    """A ledger without its timings, in an order of its own."""
    timing = ("fit_s", "peak_bytes")
    rows = [json.loads(line) for line in ledger.splitlines()]
    return sorted(json.dumps({key: value for key, value in row.items() if key not in timing}) for row in rows)


def assert_same(s3: S3, run: str, local: Path) -> None:
    """The search at the address came to the same as the one on the disk, and left nothing but what it found."""
    assert results(s3.get(f"{run}/ledger.jsonl") or b"") == results((local / "ledger.jsonl").read_bytes())
    assert s3.get(f"{run}/winner.json") == (local / "winner.json").read_bytes()
    current = (s3.get(f"{run}/export/current") or b"").decode().strip()
    published = s3.get(f"{run}/export/{current}/{RECOMMENDATIONS}") or b""
    assert hashlib.sha256(published).hexdigest() == sha256_of(local / "export" / "current")
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
    assert json.loads((version / "manifest.json").read_bytes())["files"][RECOMMENDATIONS]["sha256"] == found
    return found


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a search that could not go on."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "error:" in line)
    return line


@pytest.mark.parametrize("fit", ["whole", "blocks"])
def test_at_an_address_workers_that_share_no_folder_find_and_publish_the_same_bytes(
    s3: S3, folder: Path, short: Path, fit: str, tmp_path: Path
) -> None:
    name = f"apart-{fit}"
    run = f"s3://{BUCKET}/{name}"
    with scheduler(tmp_path) as (address, start_worker):
        for number in range(2):
            environment = s3.environment(scratch=f"{name}-{number}")
            mine = [f"{key}={value}" for key, value in environment.items() if key.startswith(("AWS_", "LISTENING_"))]
            start_worker(under=("env", *mine))
        joined = ("--scheduler", address, "--set", "cluster.workers=null", "--set", f"cluster.fit={fit}")
        done = s3.run(*words(folder, name, "short", *joined), scratch=f"{name}-search")
        assert done.returncode == 0, done.stderr
    assert f"ledger           {run}/ledger.jsonl" in done.stdout
    assert_same(s3, name, short)


def test_a_run_at_an_address_is_exported_from_elsewhere(s3: S3, short: Path, folder: Path, tmp_path: Path) -> None:
    run = f"s3://{BUCKET}/exported"
    done = s3.run(*words(folder, "exported", "short"), scratch="searched")
    assert done.returncode == 0, done.stderr
    done = s3.run("recsys.export", "--run", run, "--out", str(tmp_path / "out"), scratch="empty")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "current").is_symlink()
    assert sha256_of(tmp_path / "out" / "current") == sha256_of(short / "export" / "current")
    version = s3.keys("exported/export/versions")
    again = s3.run("recsys.export", "--run", run, "--out", f"{run}/export", scratch="empty")
    assert again.returncode == 0, again.stderr
    assert s3.keys("exported/export/versions") == version


class Searching:
    """A search as a process of its own."""

    def __init__(self, s3: S3, argv: list[str], scratch: str, endpoint: str | None = None) -> None:
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
def searching(s3: S3, argv: list[str], scratch: str, endpoint: str | None = None) -> Iterator[Searching]:
    search = Searching(s3, argv, scratch, endpoint)
    try:
        yield search
    finally:
        if search.process.poll() is None:
            search.kill()


def lines(s3: S3, run: str) -> int:
    return len((s3.get(f"{run}/ledger.jsonl") or b"").splitlines())


def test_a_killed_search_goes_on_from_another_machine(s3: S3, folder: Path, long: Path) -> None:
    with searching(s3, words(folder, "killed", "long"), "lost") as search:
        wait_for(search, lambda: lines(s3, "killed") >= 3)
        search.kill()
    shutil.rmtree(folder / "lost")
    before = s3.get("killed/ledger.jsonl") or b""
    assert s3.get("killed/winner.json") is None
    done = s3.run(*words(folder, "killed", "long"), scratch="found")
    assert done.returncode == 0, done.stderr
    assert (s3.get("killed/ledger.jsonl") or b"").startswith(before)
    assert_same(s3, "killed", long)


def wait_for(search: Searching, condition: Callable[[], bool]) -> None:
    wait_until(condition, [cast("subprocess.Popen[bytes]", search.process)])


class Passing(BaseRequestHandler):
    """Passes on what comes, both ways."""

    def handle(self) -> None:
        there = cast("Passage", self.server).there
        with socket.create_connection(there) as other:
            back = threading.Thread(target=self._pass, args=(other, self.request), daemon=True)
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
    """Another way to a server, which can be closed: then every connection breaks, and none is accepted."""

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


def test_a_server_that_is_lost_half_way_costs_one_line_and_no_score(s3: S3, folder: Path, long: Path) -> None:
    passage = Passage(s3.endpoint)
    with searching(s3, words(folder, "cut", "long"), "cut", passage.endpoint) as search:
        wait_for(search, lambda: lines(s3, "cut") >= 3)
        before = s3.get("cut/ledger.jsonl") or b""
        passage.close()
        _, errors = search.process.communicate(timeout=300)
    line = refusal(subprocess.CompletedProcess([], search.process.returncode, "", errors))
    assert f"error: s3://{BUCKET}/cut" in line
    assert "The same command goes on from there" in line
    assert s3.get("cut/winner.json") is None
    done = s3.run(*words(folder, "cut", "long"), scratch="cut")
    assert done.returncode == 0, done.stderr
    assert (s3.get("cut/ledger.jsonl") or b"").startswith(before)
    assert_same(s3, "cut", long)


def test_a_silent_server_ends_in_one_line(s3: S3, folder: Path) -> None:
    """Its process stands still, and its port accepts all the same."""
    server = next(child for child in psutil.Process().children() if "moto.server" in " ".join(child.cmdline()))
    with searching(s3, words(folder, "silent", "long"), "silent") as search:
        wait_for(search, lambda: lines(s3, "silent") >= 1)
        server.send_signal(signal.SIGSTOP)
        try:
            _, errors = search.process.communicate(timeout=400)
        finally:
            server.send_signal(signal.SIGCONT)
    refusal(subprocess.CompletedProcess([], search.process.returncode, "", errors))
