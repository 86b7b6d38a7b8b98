"""The commands of docs/clusters.md do what the page says."""

import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.workspace import SCRATCH
from tests.programs import free_port
from tests.recsys.by_hand import processes, wait_until
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.s3 import S3, server

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
CONFIG = """
store: out/demo/store
run: out/demo/run
search: {space: {factors: [4, 8]}, sweeps: 2}
validation: {resamples: 100}
"""


def commands_of_the_page() -> list[str]:
    """The first block of code."""
    return PAGE.read_text(encoding="utf-8").split("```\n")[1].splitlines()


def commands_without_a_shared_disk() -> list[str]:
    """The block of code after what is set."""
    section = PAGE.read_text(encoding="utf-8").partition("## No shared disk")[2]
    return section.split("```\n")[3].splitlines()


def words(command: str, port: int) -> list[str]:
    """A command on this machine, with the port that is free and the programs of this environment."""
    program, *options = shlex.split(command.replace("HOST", "127.0.0.1").replace("8786", str(port)))
    return [str(Path(sys.executable).with_name(program)), *options]


def start_scheduler(start: Callable[..., subprocess.Popen[bytes]], command: str, cwd: Path) -> int:
    """Returns the port; takes another one where a stranger was faster."""
    for _ in range(5):
        port = free_port()
        process = start(*words(command, port), cwd=cwd)

        def is_settled(process: "subprocess.Popen[bytes]" = process, port: int = port) -> bool:
            with socket.socket() as probe:
                return process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_settled)
        if process.poll() is None:
            return port
    raise AssertionError("no port is free")


def own_settings(s3: S3, scratch: str) -> list[str]:
    """What the page sets, as words before a program."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", SCRATCH)
    section = PAGE.read_text(encoding="utf-8").partition("## No shared disk")[2].split("```\n")[1]
    assert all(f" {name}=" in section for name in names)
    return ["env", *(f"{name}={s3.environment(scratch)[name]}" for name in names)]


@pytest.mark.slow
def test_three_commands_without_a_shared_disk_give_what_a_laptop_gives(tmp_path: Path) -> None:
    sessions = random_sessions(5, listeners=60, tracks=200, sessions=600)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").write_text(CONFIG)
    made = make_store(tmp_path, sessions, tracks=200)
    (tmp_path / "out" / "demo").mkdir(parents=True)
    made.rename(tmp_path / "out" / "demo" / "store")
    (tmp_path / "log").rename(tmp_path / "out" / "demo" / "log")
    scheduler, worker, search = commands_of_the_page()
    with server(tmp_path) as s3, processes() as start:
        port = start_scheduler(start, scheduler, tmp_path)
        for number in range(2):
            start(*own_settings(s3, f"worker-{number}"), *words(worker, port), cwd=tmp_path)
        wait_for_workers(2, port)
        for command in commands_without_a_shared_disk():
            argv = [*own_settings(s3, "search"), *words(command, port)]
            done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stderr
    _, own = run_search(words(search, port)[:-2], tmp_path)
    assert (tmp_path / "out/demo/export/current/recommendations.jsonl").read_bytes() == own


def run_search(argv: list[str], cwd: Path) -> tuple[str, bytes]:
    """What it said, and what it exported."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stderr, (cwd / "out/demo/run/export/current/recommendations.jsonl").read_bytes()


@pytest.mark.slow
def test_three_commands_give_on_a_cluster_what_a_laptop_gives(tmp_path: Path) -> None:
    sessions = random_sessions(5, listeners=60, tracks=200, sessions=600)
    for place in ("laptop", "cluster"):
        (tmp_path / place / "configs").mkdir(parents=True)
        (tmp_path / place / "configs" / "demo.yaml").write_text(CONFIG)
        made = make_store(tmp_path / place, sessions, tracks=200)
        (tmp_path / place / "out" / "demo").mkdir(parents=True)
        made.rename(tmp_path / place / "out" / "demo" / "store")
    scheduler, worker, search = commands_of_the_page()
    with processes() as start:
        port = start_scheduler(start, scheduler, tmp_path)
        workers = [start(*words(worker, port), cwd=tmp_path) for _ in range(2)]
        argv = words(search, port)
        wait_for_workers(2, port)
        said, joined = run_search(argv, tmp_path / "cluster")
        assert "2 workers, dashboard" in said
        assert [process.poll() for process in workers] == [None, None]
    assert argv[-2] == "--scheduler"
    _, own = run_search(argv[:-2], tmp_path / "laptop")
    assert joined == own


def wait_for_workers(number: int, port: int) -> None:
    """Asks the scheduler from another process: Dask's code draws from the global generator."""
    wait = (
        f"from distributed import Client; Client('tcp://127.0.0.1:{port}', timeout=60).wait_for_workers({number}, 120)"
    )
    subprocess.run([sys.executable, "-c", wait], check=True, timeout=240)
