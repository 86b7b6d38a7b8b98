"""A search on machines that are not as it needs them: other certificates or software, folders that a worker misses."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.programs import need
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import make_store, random_sessions

SETTINGS = ("search.space.factors=[4]", "search.sweeps=1", "validation.resamples=100")
BOUND_S = 240  # a connection is given up after 15 s; the rest is for a busy machine
ROLES = ("SCHEDULER", "WORKER", "CLIENT")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=40, tracks=60, sessions=300)
    return make_store(tmp_path_factory.mktemp("clusters"), sessions, tracks=60)


def search(
    store: Path, run: Path, address: str, environment: Mapping[str, str] = os.environ
) -> "subprocess.CompletedProcess[str]":
    config = run.parent / f"{run.name}.yaml"
    config.write_text(f"store: {store}\nrun: {run}\n")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    argv = [sys.executable, "-m", "recsys.search", "--config", str(config), *sets, "--scheduler", address]
    return subprocess.run([*argv, "--no-export"], capture_output=True, text=True, timeout=BOUND_S, env=environment)


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a search that could not go on."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "error:" in line)
    return line


def tls_settings(folder: Path) -> dict[str, str]:
    """A certificate of this machine that is its own authority, as docs/clusters.md gives it to Dask."""
    folder.mkdir()
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=here")
    argv = [need("openssl"), "req", "-x509", *kind, "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv, "-keyout", key, "-out", cert], check=True, capture_output=True)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    roles = {f"{prefix}{role}__{name}": file for role in ROLES for name, file in (("CERT", cert), ("KEY", key))}
    return {f"{prefix}CA_FILE": cert, **roles}


def test_over_tls_a_search_runs_with_the_right_certificates_and_is_refused_with_others(
    store: Path, tmp_path: Path
) -> None:
    ours, theirs = tls_settings(tmp_path / "ours"), tls_settings(tmp_path / "theirs")
    under = ("env", *(f"{name}={value}" for name, value in ours.items()))
    with scheduler(tmp_path, "--protocol", "tls", under=under) as (address, start_worker):
        assert address.startswith("tls://")
        worker = start_worker(under=under)
        line = refusal(search(store, tmp_path / "refused", address, {**os.environ, **theirs}))
        assert f"{address}: no Dask scheduler answers there" in line
        assert "TLS certificate does not match" in line
        assert "see TLS in docs/clusters.md" in line
        done = search(store, tmp_path / "run", address, {**os.environ, **ours})
        assert done.returncode == 0, done.stderr
        assert "1 workers, dashboard" in done.stderr
        assert worker.poll() is None  # the search ends only what it started


def test_a_folder_that_a_worker_does_not_see_is_one_line(store: Path, tmp_path: Path) -> None:
    """The worker is in a mount namespace of its own, where an empty file system lies over the folder."""
    private = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')
    spare = tmp_path / "spare"
    spare.mkdir()
    if subprocess.run([*private, str(spare), "true"], capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root")
    folders = {"store": tmp_path / "store", "run": tmp_path / "run"}
    shutil.copytree(store, folders["store"], ignore=shutil.ignore_patterns("cache"))
    folders["run"].mkdir()
    with scheduler(tmp_path) as (address, start_worker):
        for hidden in folders.values():
            worker = start_worker(under=(*private, str(hidden)))
            line = refusal(search(folders["store"], folders["run"], address))
            assert f"{hidden}" in line
            assert f"(process {worker.pid}) does not see it" in line
            worker.kill()
            worker.wait()
    assert not list(folders["run"].glob(".tmp-*"))
    assert not list(folders["store"].glob("cache/*"))


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
        line = refusal(search(store, tmp_path / "run", address))
    assert "error: the worker tcp://127.0.0.1:" in line
    assert f"has listening-loop 0.0.1, and the search listening-loop {version('listening-loop')}" in line
