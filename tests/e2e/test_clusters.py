"""The commands of docs/clusters.md do what the page says."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from looplib.cli import run
from recsys.search import __main__ as search
from recsys.workspace import SCRATCH
from tests.commands import run_module
from tests.programs import free_port
from tests.recsys.by_hand import processes, wait_until
from tests.recsys.in_process import without_processes
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.s3 import S3, server

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
RECOMMENDATIONS = "out/demo/run/export/current/recommendations.jsonl"
CONFIG = """
store: out/demo/store
run: out/demo/run
search: {space: {factors: [4, 8]}, sweeps: 2}
validation: {resamples: 100}
export: {publish_anyway: true}
"""


def commands_of_the_page() -> list[str]:
    """The first block of code."""
    return PAGE.read_text(encoding="utf-8").split("```\n")[1].splitlines()


def commands_without_a_shared_disk() -> list[str]:
    """The block of code after what is set."""
    section = PAGE.read_text(encoding="utf-8").partition("## No shared disk")[2]
    return section.split("```\n")[3].splitlines()


def words(command: str, port: int) -> list[str]:
    """A command on this machine, with a free port and the programs of this environment."""
    program, *options = shlex.split(
        command.replace("HOST", "127.0.0.1").replace("8786", str(port))
    )
    return [str(Path(sys.executable).with_name(program)), *options]


def start_scheduler(
    start: Callable[..., subprocess.Popen[bytes]], command: str, cwd: Path
) -> int:
    """Returns the port; takes another one where a stranger was faster."""
    for _ in range(5):
        port = free_port()
        process = start(*words(command, port), cwd=cwd)

        def is_settled(
            process: "subprocess.Popen[bytes]" = process, port: int = port
        ) -> bool:
            with socket.socket() as probe:
                return (
                    process.poll() is not None
                    or probe.connect_ex(("127.0.0.1", port)) == 0
                )

        wait_until(is_settled)
        if process.poll() is None:
            return port
    raise AssertionError("no port is free")


def own_settings(s3: S3, scratch: str) -> list[str]:
    """What the page sets, as words before a program."""
    names = (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        SCRATCH,
    )
    section = (
        PAGE.read_text(encoding="utf-8")
        .partition("## No shared disk")[2]
        .split("```\n")[1]
    )
    assert all(f" {name}=" in section for name in names)
    return ["env", *(f"{name}={s3.environment(scratch)[name]}" for name in names)]


def make_demo(folder: Path) -> Path:
    """What the page's commands find in the folder where they are run.

    A configuration, a log, a store.
    """
    sessions = random_sessions(5, listeners=60, tracks=200, sessions=600)
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "demo.yaml").write_text(CONFIG)
    made = make_store(folder, sessions, tracks=200)
    (folder / "out" / "demo").mkdir(parents=True)
    made.rename(folder / "out" / "demo" / "store")
    (folder / "log").rename(folder / "out" / "demo" / "log")
    return folder


def run_here(argv: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """What it said."""
    _, option, module, *arguments = argv
    assert option == "-m"
    done = run_module(module, arguments, environment, folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a search of the same configuration publishes without `--scheduler`."""
    folder = make_demo(tmp_path_factory.mktemp("laptop"))
    config = words(commands_of_the_page()[2], 0)[4]
    paths = [
        "--store",
        str(folder / "out/demo/store"),
        "--run",
        str(folder / "out/demo/run"),
    ]
    with without_processes():
        assert (
            run(search.app, search.PROG, ["--config", str(folder / config), *paths])
            == 0
        )
    return (folder / RECOMMENDATIONS).read_bytes()


@dataclass(frozen=True)
class Page:
    """The page's scheduler and two of its workers, with its settings without a shared disk."""

    port: int
    s3: S3


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("cluster")
    scheduler, worker, _ = commands_of_the_page()
    with server(folder) as s3, processes() as start:
        port = start_scheduler(start, scheduler, folder)
        workers = [
            start(
                *own_settings(s3, f"worker-{number}"), *words(worker, port), cwd=folder
            )
            for number in range(2)
        ]
        wait_for_workers(2, port)
        yield Page(port, s3)
        assert [process.poll() for process in workers] == [None, None]


@pytest.mark.slow
def test_three_commands_give_on_a_cluster_what_a_laptop_gives(
    page: Page, laptop: bytes, tmp_path: Path
) -> None:
    folder = make_demo(tmp_path / "shared")
    assert "2 workers, dashboard" in run_here(
        words(commands_of_the_page()[2], page.port), folder, os.environ
    )
    assert (folder / RECOMMENDATIONS).read_bytes() == laptop


@pytest.mark.slow
def test_three_commands_without_a_shared_disk_give_what_a_laptop_gives(
    page: Page, laptop: bytes, tmp_path: Path
) -> None:
    folder = make_demo(tmp_path / "own")
    for command in commands_without_a_shared_disk():
        run_here(words(command, page.port), folder, page.s3.environment("search"))
    assert (
        folder / "out/demo/export/current/recommendations.jsonl"
    ).read_bytes() == laptop


def wait_for_workers(number: int, port: int) -> None:
    """Asks the scheduler from another process: Dask's code draws from the global generator."""
    address = f"tcp://127.0.0.1:{port}"
    wait = (
        f"from distributed import Client; "
        f"Client('{address}', timeout=60).wait_for_workers({number}, 120)"
    )
    subprocess.run([sys.executable, "-c", wait], check=True, timeout=240)
