"""A search on machines that are not as it needs them: others' certificates, folders that a worker does not see."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.recsys.by_hand import scheduler
from tests.recsys.certificates import make_certificates
from tests.recsys.logs import make_store, random_sessions

SETTINGS = ("search.space.factors=[4]", "search.sweeps=1", "validation.resamples=100")
BOUND_S = 240  # a connection is given up after 15 s; the rest is for a busy machine


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=40, tracks=60, sessions=300)
    return make_store(tmp_path_factory.mktemp("clusters"), sessions, tracks=60)


def search(store: Path, run: Path, *extra: str) -> "subprocess.CompletedProcess[str]":
    config = run.parent / f"{run.name}.yaml"
    config.write_text(f"store: {store}\nrun: {run}\n")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    argv = [sys.executable, "-m", "recsys.search", "--config", str(config), *sets, *extra, "--no-export"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=BOUND_S)


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a search that could not go on."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "error:" in line)
    return line


@pytest.mark.slow
def test_over_tls_a_search_runs_with_the_right_certificates_and_is_refused_with_others(
    store: Path, tmp_path: Path
) -> None:
    ours, theirs = make_certificates(tmp_path / "ours"), make_certificates(tmp_path / "theirs")
    with scheduler(tmp_path, *ours.options) as (address, start_worker):
        assert address.startswith("tls://")
        worker = start_worker(*ours.options)
        line = refusal(search(store, tmp_path / "refused", "--scheduler", address, *theirs.sets))
        assert f"{address}: no Dask scheduler answers there" in line
        assert "TLS certificate does not match" in line
        assert "whether each side's certificate is signed by the other's ca" in line
        done = search(store, tmp_path / "run", "--scheduler", address, *ours.sets)
        assert done.returncode == 0, done.stderr
        assert "1 workers, dashboard" in done.stderr
        assert worker.poll() is None  # what the search did not start, it does not end


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["store", "run"])
def test_a_folder_that_a_worker_does_not_see_is_one_line(store: Path, tmp_path: Path, hidden: str) -> None:
    """The worker is in a mount namespace of its own, where an empty file system lies over the folder."""
    mount = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    private = ("unshare", "--mount", "sh", "-c", mount)
    spare = tmp_path / "spare"
    spare.mkdir()
    if subprocess.run([*private, str(spare), "true"], capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root")
    folders = {"store": tmp_path / "store", "run": tmp_path / "run"}
    shutil.copytree(store, folders["store"], ignore=shutil.ignore_patterns("cache"))
    folders["run"].mkdir()
    with scheduler(tmp_path) as (address, start_worker):
        worker = start_worker(under=(*private, str(folders[hidden])))
        line = refusal(search(folders["store"], folders["run"], "--scheduler", address))
        assert worker.poll() is None
    assert f"{folders[hidden]}" in line
    assert f"(process {worker.pid}) does not see it" in line
    assert not list(folders["run"].glob(".tmp-*"))
    assert not list(folders["store"].glob("cache/*"))


@pytest.mark.slow
def test_a_worker_with_other_software_is_one_line(store: Path, tmp_path: Path) -> None:
    other = """
from distributed import versions
from dask.__main__ import main
ours = versions.version
versions.version = lambda name: "0.0.1" if name == "listening-loop" else ours(name)
main()
"""
    with scheduler(tmp_path) as (address, start_worker):
        start_worker(dask=(sys.executable, "-c", other))
        line = refusal(search(store, tmp_path / "run", "--scheduler", address))
    assert "error: the worker tcp://127.0.0.1:" in line
    assert f"has listening-loop 0.0.1, and the search listening-loop {version('listening-loop')}" in line
