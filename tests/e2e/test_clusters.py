"""The commands of docs/clusters.md work on a cluster and on hosts without a shared disk."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from looplib.cli import run
from recsys.search import __main__ as search
from recsys.storage import SCRATCH
from tests.commands import run_module
from tests.e2e.pages import ROOT, blocks_of
from tests.hosts import make_machine, network, object_store
from tests.programs import free_port
from tests.recsys.by_hand import processes, scheduler
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_store
from tests.waiting import wait_until

PAGE = ROOT / "docs" / "clusters.md"
NO_SHARED_DISK = "## Work without a shared disk"
PUBLISHED = ("recommendations.jsonl", "factors.npz")
CONFIG = """
store: out/demo/store
run: out/demo/run
models: {als: {factors: 4}}
search: {iterations: 2}
export: {publish_anyway: true}
"""
WORKER = "127.0.0.3"
COMMAND = "listening_loop.command"  # the module of `listening-loop`
CUT = "import recsys.blockwise as b, {0} as c; b.SMALLEST_S = 0; raise SystemExit(c.main())"
pytestmark = pytest.mark.slow


def block_of_the_page(section: str, number: int) -> list[str]:
    """Return the lines of a block of code after a heading."""
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(section)
    blocks = [block for block in blocks_of(PAGE) if block.line > before.count("\n")]
    return blocks[number - 1].text.splitlines()


def words(command: str, host: str, port: int) -> list[str]:
    """Return a command's words, for this scheduler, with the programs of this environment."""
    values = {"HOST": host, "WORKER": WORKER, "8786": str(port), "8787": "0"}
    for name, value in values.items():
        command = command.replace(name, value)
    program, *options = shlex.split(command)
    return [str(Path(sys.executable).with_name(program)), *options]


def make_demo(folder: Path) -> Path:
    """Make the files that the page's commands read: a configuration, a log and a store."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "demo.yaml").write_text(CONFIG)
    made = random_store(folder, listeners=60, tracks=200, sessions=600)
    (folder / "out" / "demo").mkdir(parents=True)
    made.rename(folder / "out" / "demo" / "store")
    (folder / "log").rename(folder / "out" / "demo" / "log")
    return folder


@pytest.fixture(scope="module")
def laptop(folder: Path) -> Path:
    """Return the run of a search of the same configuration on one machine."""
    make_demo(folder)
    paths = ["--store", f"{folder}/out/demo/store", "--run", f"{folder}/out/demo/run"]
    config = str(folder / "configs" / "demo.yaml")
    with without_processes():
        assert run(search.app, search.PROG, ["--config", config, *paths]) == 0
    return folder / "out" / "demo" / "run"


def assert_same(exported: Path, laptop: Path) -> None:
    for name in PUBLISHED:
        published = (laptop / "export" / "current" / name).read_bytes()
        assert (exported / "current" / name).read_bytes() == published, name


def listened_on(process: subprocess.Popen[bytes]) -> set[str]:
    """Return the addresses that a process and its children listen on."""
    root = psutil.Process(process.pid)
    return {
        socket.laddr.ip
        for each in (root, *root.children(recursive=True))
        for socket in each.net_connections()
        if socket.status == psutil.CONN_LISTEN
    }


def test_three_commands_give_on_a_cluster_what_a_laptop_gives(
    laptop: Path, tmp_path: Path
) -> None:
    """Scheduler and worker listen on the addresses that the page names, and on no others."""
    folder, host, port = make_demo(tmp_path), "127.0.0.2", free_port()
    commands = block_of_the_page("## Start three commands", 1)
    serve, work, (_, *argv) = (words(command, host, port) for command in commands)

    with processes() as start:
        served = start(*serve, cwd=folder)
        addresses = {host, "127.0.0.1"}  # the latter for the dashboard
        wait_until(lambda: listened_on(served) >= addresses, "the scheduler", [served])
        worker = start(*work, cwd=folder)
        done = run_module(COMMAND, argv, os.environ, folder)
        assert done.returncode == 0, done.stderr
        assert "workers, dashboard" in done.stderr
        assert worker.poll() is None
        assert listened_on(served) == addresses
        assert listened_on(worker) == {WORKER, "127.0.0.1"}
    assert_same(folder / "out" / "demo" / "run" / "export", laptop)


@pytest.mark.long
def test_without_a_shared_disk_several_hosts_give_what_a_laptop_gives(
    laptop: Path, tmp_path: Path
) -> None:
    (settings, scratch) = block_of_the_page(NO_SHARED_DISK, 1)
    ingest, search, export = block_of_the_page(NO_SHARED_DISK, 2)
    with (
        network(4) as (of_servers, of_search, *of_workers),
        object_store(of_servers, tmp_path) as s3,
        scheduler(tmp_path, host=of_servers.address, under=of_servers.under) as (
            address,
            start_worker,
        ),
    ):
        named = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        assert all(f" {name}=" in settings for name in named)
        assert f" {SCRATCH}=" in scratch
        workers = [make_machine(host, tmp_path, s3) for host in of_workers]
        for worker in workers:
            start_worker(under=worker.under)
        desk = make_machine(of_search, tmp_path, s3)
        make_demo(desk.disk)
        host, port = address.removeprefix("tcp://").split(":")
        for command in (ingest, f"{search} --set cluster.fit=blocks", export):
            _, *argv = words(command, host, int(port))
            # fits as small as these are cut into blocks by a test alone
            desk.run("-c", CUT.format(COMMAND), *argv)
        assert_same(desk.disk / "out" / "demo" / "export", laptop)
        # nobody left anything where only others could see it
        assert not list(desk.seen.iterdir())
        assert all((worker.disk / "scratch").is_dir() for worker in workers)
