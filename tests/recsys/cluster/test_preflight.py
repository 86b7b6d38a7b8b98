"""What is checked of scheduler and workers: their software, and the paths they see."""

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recsys.cluster.preflight import MOST_DEATHS, Preflight


def failure(ours: dict[str, Any], *paths: Path) -> str:
    """Check this process for a search that has other packages."""
    plugin = Preflight(paths, "client")
    plugin.packages = {**plugin.packages, **ours}
    return plugin.find_failure("the worker", plugin.paths) or ""


@pytest.mark.parametrize("harmless", ["python", "numpy"])
def test_what_unpickles_the_same_is_no_difference(
    harmless: str, tmp_path: Path
) -> None:
    assert not failure({harmless: "1.0"}, tmp_path)


@pytest.mark.parametrize("name", ["dask", "distributed", "listening-loop"])
def test_a_difference_names_the_process_and_both_versions(name: str) -> None:
    said = f"the worker has {name} {version(name)}, and the search {name} None; install"
    assert failure({name: None}).startswith(said)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "manifest.json"
    said = failure({}, tmp_path, missing)
    assert said.startswith(f"the worker does not see {missing}; every worker must see")


def test_a_scheduler_forgives_deaths_but_never_fewer_than_it_did() -> None:
    for before, after in ((3, MOST_DEATHS), (99, 99)):
        scheduler = SimpleNamespace(allowed_failures=before)
        assert Preflight((), "client").prepare(scheduler) is None  # type: ignore[arg-type]  # a stand-in
        assert scheduler.allowed_failures == after
