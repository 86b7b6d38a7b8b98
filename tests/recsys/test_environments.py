"""Which differences of software between machines end a search."""

from typing import Any

import pytest

from recsys.cluster.environments import find_difference

HERE = {"python": "3.11.2.final.0", "dask": "2026.8.0", "distributed": "2026.8.0", "listening-loop": "0.1.0"}


def versions(scheduler: dict[str, Any], worker: dict[str, Any]) -> dict[str, Any]:
    """As `distributed.Client.get_versions` returns them; what is given differs from here."""
    return {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE | scheduler},
        "workers": {"tcp://a:1": {"packages": HERE}, "tcp://b:2": {"packages": HERE | worker}},
    }


@pytest.mark.parametrize("harmless", [{}, {"python": "3.11.9.final.0"}, {"numpy": "1.0"}])
def test_what_unpickles_the_same_is_no_difference(harmless: dict[str, Any]) -> None:
    assert find_difference(versions(harmless, harmless)) is None


def test_a_difference_names_who_has_what() -> None:
    assert find_difference(versions({"dask": "2025.1.0"}, {})) == (
        "the scheduler has dask 2025.1.0, and the search dask 2026.8.0"
    )
    assert find_difference(versions({}, {"listening-loop": None})) == (
        "the worker tcp://b:2 has no listening-loop, and the search listening-loop 0.1.0"
    )
    assert find_difference(versions({}, {"python": "3.12.1.final.0"})) == (
        "the worker tcp://b:2 has python 3.12, and the search python 3.11"
    )
