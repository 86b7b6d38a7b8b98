"""A trial that fits no worker is refused before the search, with what would fit."""

from typing import Literal, cast

import pytest

from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.models.registry import read_models
from recsys.search.search import check_memory
from recsys.search.trials import plan_trials
from tests.recsys.in_process import InProcess

MILLION = {
    "listeners": 10**6,
    "tracks": 10**5,
    "numbers": 1,
    "interactions": 10**8,
    "events": 10**8,
}


class Sizes:
    """Stands in for a dataset, and for its summary."""

    def __init__(self) -> None:
        self.summary = self
        self.users = range(10**6)
        self.__dict__ |= MILLION

    def tracks_of(self, _: str) -> range:
        return range(10**5)

    def array(self, *_: str) -> list[int]:
        return [10**8]


class Limited(InProcess):
    """A cluster whose workers have some GiB."""

    def __init__(self, gib: float, fit: Literal["whole", "blocks"] = "whole") -> None:
        super().__init__(slots=4)
        self.config = ClusterConfig(fit=fit)
        self.gib = gib

    def memory_limit(self) -> int | None:
        return int(self.gib * 2**30) or None


def refusal(cluster: Cluster, kind: str, **axes: tuple[int, ...]) -> str:
    """Return the line with which a trial is refused; "" if it is not."""
    trials = plan_trials(read_models({kind: axes}), "data", 1, is_ordered=True)
    try:
        check_memory(cluster, trials, cast(Dataset, Sizes()))
    except SearchError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("gib", [0, 8])
def test_what_fits_or_has_no_limit_is_not_refused(gib: float) -> None:
    for kind in ("als", "activation", "blend"):
        axes = {"factors": (64,)} if kind == "als" else {}
        assert not refusal(Limited(gib), kind, **axes)


def test_a_refusal_names_the_limit_and_what_would_fit() -> None:
    line = refusal(Limited(3), "als", factors=(512,))
    assert "factors 512" in line
    assert "needs about 6.0 GiB on a worker, and the largest has 3.0 GiB" in line
    most = int(line.partition("at most ")[2].split()[0])
    assert not refusal(Limited(3), "als", factors=(most,))
    assert refusal(Limited(3), "als", factors=(most + 1,))
    assert "larger workers" in refusal(Limited(1), "blend")


def test_vectors_of_tracks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MILLION, "numbers", 10 * 1024)
    assert not refusal(Limited(8), "als", factors=(64,))
    assert "needs about" in refusal(Limited(8), "blend")


def test_blocks_are_named_where_they_fit_and_need_less() -> None:
    assert "cluster.fit: blocks (2.4 GiB)" in refusal(Limited(3), "als", factors=(256,))
    assert not refusal(Limited(3, "blocks"), "als", factors=(256,))
