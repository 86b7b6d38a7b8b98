"""What an installation brings along."""

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"dask", "distributed", "implicit", "duckdb", "pyarrow", "scipy", "bokeh"}


def would_install(extra: str) -> set[str]:
    """The distributions that `pip install .[extra]` resolves to in an empty environment."""
    argv = ["pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", f"{ROOT}[{extra}]"]
    done = subprocess.run([sys.executable, "-m", *argv], capture_output=True, text=True, check=True)
    return {item["metadata"]["name"].lower() for item in json.loads(done.stdout)["install"]}


@pytest.mark.slow
def test_the_service_and_the_simulator_install_without_what_training_needs() -> None:
    names = would_install("service,sim")
    assert "httptools" in names
    assert not names & HEAVY


@pytest.mark.slow
def test_the_wheel_has_the_command_and_the_configurations(tmp_path: Path) -> None:
    argv = ["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", *argv], capture_output=True, text=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as files:
        names = files.namelist()
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"listening-loop = listening_loop.command:main" in files.read(points)
    shipped = {file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*.yaml")}
    assert {f"listening_loop/{name}" for name in shipped} <= set(names)


@pytest.mark.slow
def test_training_brings_what_it_needs() -> None:
    assert would_install("recsys") >= HEAVY
