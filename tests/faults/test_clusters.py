"""A search on machines that are not as it needs them: other certificates or software, folders that
a worker misses."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import dask
import pytest

from looplib.cli import run
from recsys.cluster import cluster
from recsys.search.__main__ import PROG, app
from tests.programs import need
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import make_store, random_sessions

SETTINGS = ("models.als.factors=[4]", "search.iterations=1", "validation.resamples=100")
ROLES = ("scheduler", "worker", "client")
pytestmark = [pytest.mark.slow, pytest.mark.dask]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=40, tracks=60, sessions=300)
    return make_store(tmp_path_factory.mktemp("clusters"), sessions, tracks=60)


def search(store: Path, run_folder: Path, address: str) -> int:
    """The command, in this process; returns its exit code."""
    config = run_folder.parent / f"{run_folder.name}.yaml"
    config.write_text(f"store: {store}\nrun: {run_folder}\n")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    return run(
        app,
        PROG,
        ["--config", str(config), *sets, "--scheduler", address, "--no-export"],
    )


def refusal(
    capsys: pytest.CaptureFixture[str], store: Path, run_folder: Path, address: str
) -> str:
    """The one line of a search that could not go on."""
    assert search(store, run_folder, address) == 2
    (line,) = (
        line for line in capsys.readouterr().err.splitlines() if "error:" in line
    )
    return line


def tls_settings(folder: Path) -> dict[str, str]:
    """A certificate of this machine that is its own authority, as docs/clusters.md gives it to
    Dask."""
    folder.mkdir()
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    kind = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=here",
    )
    argv = [
        need("openssl"),
        "req",
        "-x509",
        *kind,
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(
        [*argv, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    prefix = "distributed.comm.tls"
    roles = {
        f"{prefix}.{role}.{name}": file
        for role in ROLES
        for name, file in (("cert", cert), ("key", key))
    }
    return {f"{prefix}.ca-file": cert, **roles}


def variable_of(setting: str) -> str:
    return f"DASK_{setting.upper().replace('.', '__').replace('-', '_')}"


def test_over_tls_a_search_runs_with_the_right_certificates_and_is_refused_with_others(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = tls_settings(tmp_path / "ours"), tls_settings(tmp_path / "theirs")
    under = (
        "env",
        *(f"{variable_of(setting)}={value}" for setting, value in ours.items()),
    )
    with scheduler(tmp_path, "--protocol", "tls", under=under) as (
        address,
        start_worker,
    ):
        assert address.startswith("tls://")
        worker = start_worker(under=under)
        with dask.config.set(theirs), monkeypatch.context() as patch:
            patch.setattr(cluster, "CONNECT_TIMEOUT_S", 2)
            line = refusal(capsys, store, tmp_path / "refused", address)
        assert f"{address}: no Dask scheduler answers there" in line
        assert "TLS certificate does not match" in line
        assert "see TLS in docs/clusters.md" in line
        with dask.config.set(ours):
            assert search(store, tmp_path / "run", address) == 0
        assert "1 workers, dashboard" in capsys.readouterr().err
        assert worker.poll() is None  # the search ends only what it started


OTHER_SOFTWARE = """
from distributed import versions
from dask.__main__ import main
ours = versions.version
versions.version = lambda name: "0.0.1" if name == "listening-loop" else ours(name)
main()
"""


def test_a_folder_that_a_worker_does_not_see_and_its_other_software_are_one_line_each(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker is in a mount namespace of its own, where an empty file system lies over the
    folder."""
    private = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs tmpfs "$0" && exec "$@"',
    )
    spare, hidden = tmp_path / "spare", tmp_path / "run"
    for folder in (spare, hidden):
        folder.mkdir()
    if subprocess.run([*private, str(spare), "true"], capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root")
    own_store = tmp_path / "store"
    shutil.copytree(store, own_store, ignore=shutil.ignore_patterns("cache"))
    with scheduler(tmp_path) as (address, start_worker):
        worker = start_worker(under=(*private, str(hidden)))
        line = refusal(capsys, own_store, hidden, address)
        assert f"{hidden}" in line
        assert f"(process {worker.pid}) does not see it" in line
        assert not list(hidden.glob(".tmp-*"))
        assert not list(own_store.glob("cache/*"))
        worker.kill()
        worker.wait()
        start_worker(dask=(sys.executable, "-c", OTHER_SOFTWARE))
        line = refusal(capsys, store, tmp_path / "other", address)
    assert "error: the worker tcp://127.0.0.1:" in line
    assert (
        f"has listening-loop 0.0.1, and the search listening-loop {version('listening-loop')}"
        in line
    )
