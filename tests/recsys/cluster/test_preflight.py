"""What is checked of workers before the first call: their software, and the paths they see."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from distributed import Client

from recsys.cluster.preflight import check_software, find_unseen
from recsys.errors import SearchError

HERE = {
    "python": "3.11.2.final.0",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "listening-loop": "0.1.0",
}


def check(scheduler: dict[str, Any], worker: dict[str, Any]) -> None:
    """Check a cluster; what is given differs from here."""
    client = create_autospec(Client)
    client.get_versions.return_value = {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE | scheduler},
        "workers": {
            "tcp://a:1": {"packages": HERE},
            "tcp://b:2": {"packages": HERE | worker},
        },
    }
    check_software(client)


@pytest.mark.parametrize(
    "harmless", [{}, {"python": "3.11.9.final.0"}, {"numpy": "1.0"}]
)
def test_what_unpickles_the_same_is_no_difference(harmless: dict[str, Any]) -> None:
    check(harmless, harmless)


@pytest.mark.parametrize(
    ("scheduler", "worker", "said"),
    [
        (
            {"dask": "2025.1.0"},
            {},
            "the scheduler has dask 2025.1.0, and the search dask 2026.8.0",
        ),
        (
            {},
            {"listening-loop": None},
            "the worker tcp://b:2 has listening-loop None, and the search listening-loop 0.1.0",
        ),
    ],
)
def test_a_difference_names_the_process_and_both_versions(
    scheduler: dict[str, Any], worker: dict[str, Any], said: str
) -> None:
    with pytest.raises(SearchError, match=f"{said}; install the same everywhere"):
        check(scheduler, worker)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert find_unseen([tmp_path]) is None
    found = find_unseen([tmp_path, tmp_path / "manifest.json"])
    assert found
    assert f"{tmp_path / 'manifest.json'}: the worker on" in found
    assert f"(process {os.getpid()}) does not see it" in found
