"""A search beside workers that miss a folder or run other software."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.recsys.by_hand import scheduler
from tests.recsys.logs import random_store
from tests.waiting import wait_until

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
def test_workers_that_miss_a_folder_or_have_other_software_are_named_and_left_out(
    tmp_path: Path,
) -> None:
    """The search waits for others, and ends on a worker that fits."""
    spare, hidden = tmp_path / "spare", tmp_path / "run"
    spare.mkdir()
    hidden.mkdir()
    if subprocess.run([*HIDING, str(spare), "true"], capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root")
    store = random_store(tmp_path, listeners=40, tracks=60, sessions=300)
    config = tmp_path / "search.yaml"
    config.write_text(f"store: {store}\nrun: {hidden}\n")
    said = tmp_path / "said"
    with scheduler(tmp_path) as (address, start_worker), said.open("w") as stderr:
        words = (f"--config={config}", "--scheduler", address, "--no-export")
        before = start_worker(under=(*HIDING, str(hidden)))
        program = (sys.executable, "-m", "recsys.search", *words)
        with subprocess.Popen(program, stderr=stderr) as search:
            wait_until(lambda: "left out" in said.read_text(), "the check", [search])
            late = start_worker(dask=(sys.executable, "-c", OTHER_SOFTWARE))
            wait_until(lambda: late.poll() is not None, "the worker", [search])
            start_worker()
            assert search.wait(timeout=120) == 0
        assert before.poll() == 0
    folder, software = (
        line for line in said.read_text().splitlines() if "left out" in line
    )
    assert folder.startswith("the worker tcp://127.0.0.1:")
    assert f" does not see {hidden}" in folder
    ours = version("listening-loop")
    assert f"has listening-loop 0.0.1, and the search listening-loop {ours}" in software
