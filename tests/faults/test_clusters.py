"""A search on workers that miss a folder or run other software: one line each."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import random_store

# In a mount namespace of its own, an empty file system lies over a folder.
HIDING = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')
OTHER_SOFTWARE = """
from distributed import versions
from dask.__main__ import main
ours = versions.version
versions.version = lambda name: "0.0.1" if name == "listening-loop" else ours(name)
main()
"""


@pytest.mark.slow
@pytest.mark.dask
def test_a_folder_that_a_worker_does_not_see_and_its_other_software_are_one_line_each(
    tmp_path: Path, refusal: Run
) -> None:
    spare, hidden = tmp_path / "spare", tmp_path / "run"
    spare.mkdir()
    hidden.mkdir()
    if subprocess.run([*HIDING, str(spare), "true"], capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root")
    store = random_store(tmp_path, listeners=40, tracks=60, sessions=300)
    config = tmp_path / "search.yaml"
    config.write_text(f"store: {store}\nrun: unused\n")
    with scheduler(tmp_path) as (address, start_worker):
        words = ("search", f"--config={config}", "--scheduler", address, "--no-export")
        worker = start_worker(under=(*HIDING, str(hidden)))
        line = refusal(*words, "--run", hidden)
        assert f"{hidden}" in line
        assert f"(process {worker.pid}) does not see it" in line
        assert not list(hidden.glob(".tmp-*"))
        assert not list(store.glob("cache/*"))
        worker.kill()
        worker.wait()
        start_worker(dask=(sys.executable, "-c", OTHER_SOFTWARE))
        line = refusal(*words, "--run", tmp_path / "other")
    assert "error: the worker tcp://127.0.0.1:" in line
    ours = version("listening-loop")
    assert f"has listening-loop 0.0.1, and the search listening-loop {ours}" in line
