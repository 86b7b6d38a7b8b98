"""What an installation brings along."""

import json
import subprocess
import sys
from pathlib import Path

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
    assert "flask" in names
    assert not names & HEAVY


@pytest.mark.slow
def test_training_brings_what_it_needs() -> None:
    assert would_install("recsys") >= HEAVY
