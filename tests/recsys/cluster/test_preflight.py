"""What is checked of workers before the first call: their software, and the paths they see."""

import os
from pathlib import Path
from typing import Any

import pytest

from recsys.cluster.preflight import find_difference, find_unseen

HERE = {
    "python": "3.11.2.final.0",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "listening-loop": "0.1.0",
}


def versions(scheduler: dict[str, Any], worker: dict[str, Any]) -> dict[str, Any]:
    """As `distributed.Client.get_versions` returns them; what is given differs from here."""
    return {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE | scheduler},
        "workers": {
            "tcp://a:1": {"packages": HERE},
            "tcp://b:2": {"packages": HERE | worker},
        },
    }


@pytest.mark.parametrize(
    "harmless", [{}, {"python": "3.11.9.final.0"}, {"numpy": "1.0"}]
)
def test_what_unpickles_the_same_is_no_difference(harmless: dict[str, Any]) -> None:
    assert find_difference(versions(harmless, harmless)) is None


def test_a_difference_names_the_process_and_both_versions() -> None:
    assert find_difference(versions({"dask": "2025.1.0"}, {})) == (
        "the scheduler has dask 2025.1.0, and the search dask 2026.8.0"
    )
    assert find_difference(versions({}, {"listening-loop": None})) == (
        "the worker tcp://b:2 has listening-loop None, and the search listening-loop 0.1.0"
    )
    assert find_difference(versions({}, {"python": "3.12.1.final.0"})) == (
        "the worker tcp://b:2 has python 3.12, and the search python 3.11"
    )


def test_a_missing_file_and_a_missing_probe_are_named(tmp_path: Path) -> None:
    assert find_unseen([tmp_path]) is None
    found = find_unseen([tmp_path, tmp_path / "manifest.json"])
    assert found
    assert f"{tmp_path / 'manifest.json'}: the worker on" in found
    assert f"(process {os.getpid()}) does not see it" in found
    # the folder is there, and another
    found = find_unseen([tmp_path / ".tmp-seen-1"])
    assert found
    assert found.startswith(f"{tmp_path}: the worker")
