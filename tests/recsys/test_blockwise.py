"""A fit in any blocks equals the fit in one piece, and continues where it stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from looplib.als import AlsConfig
from recsys import blockwise
from recsys.blockwise import (
    Block,
    cut_blocks,
    plan_blocks,
    read_state,
    solve_block,
)
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.base import State
from recsys.storage import open_workspace
from tests.recsys.fits import fit_als
from tests.recsys.in_process import in_process
from tests.recsys.logs import random_store
from tests.recsys.opened import dataset_of

KNOBS = {
    "cg": AlsConfig(factors=6, regularization=0.1, alpha=10.0),
    "nu and weight": AlsConfig(
        factors=6, regularization=0.01, alpha=1.0, unobserved_weight=0.2, nu=0.8
    ),
}


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    store = random_store(folder, listeners=30, tracks=60, sessions=400)
    return dataset_of(SearchConfig(store=store, run=folder / "run"))


def assert_same(state: State, dataset: Dataset, config: AlsConfig) -> None:
    """Compare the factors with the fit in one piece."""
    iterations = state["iterations"]
    whole = fit_als(dataset.matrix("training"), config, seed=4, iterations=iterations)
    assert np.array_equal(state["user_factors"], whole.factors.user_factors)
    assert np.array_equal(state["item_factors"], whole.factors.item_factors)


def fit(
    dataset: Dataset,
    number: int,
    config: AlsConfig,
    iterations: int,
    folder: Path,
    report: Callable[[float], None] = lambda _: None,
) -> State:
    workspace = open_workspace(folder / "fit")
    rest = (config, 4, iterations, workspace, report)
    plan = plan_blocks(number, dataset, "training", *rest)
    return read_state(workspace, in_process().run_plan(plan))


@pytest.mark.parametrize("config", KNOBS.values(), ids=KNOBS)
@pytest.mark.parametrize("number", [1, 8])
def test_any_number_of_blocks_gives_the_same_bytes_as_one_fit(
    config: AlsConfig, number: int, dataset: Dataset, tmp_path: Path
) -> None:
    state = fit(dataset, number, config, 3, tmp_path)
    assert state["iterations"] == 3
    assert_same(state, dataset, config)


def test_more_blocks_than_rows_are_a_block_for_each_row(
    dataset: Dataset,
) -> None:
    blocks = cut_blocks(1000, dataset, "training")
    assert tuple(map(len, blocks)) == (len(dataset.users), len(dataset.tracks))


def test_blocks_cover_every_row_once_with_about_as_much_work(
    dataset: Dataset,
) -> None:
    cut = cut_blocks(4, dataset, "all")
    for blocks, rows in zip(
        cut, (len(dataset.users), len(dataset.tracks)), strict=True
    ):
        assert [block.first for block in blocks] == [
            0,
            *(block.last for block in blocks[:-1]),
        ]
        assert blocks[-1].last == rows
        sizes = [block.load().nnz for block in blocks]
        assert len(sizes) == 4
        assert max(sizes) < 1.5 * dataset.matrix("all").nnz / 4


def test_a_block_holds_no_more_interactions_than_allowed(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockwise, "LARGEST_BLOCK", 300)
    cut = cut_blocks(2, dataset, "training")
    assert len(cut[0]) >= dataset.summary.interactions / 300
    assert len(cut[0]) % 2 == 0


@pytest.mark.parametrize("number", [3, 2])
def test_a_fit_goes_on_from_its_last_whole_iteration_in_the_same_blocks_or_in_others(
    number: int, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = KNOBS["cg"]
    solved: list[Block] = []

    def solve(block: Block, *arguments: Any) -> None:  # noqa: ANN401  those of `solve_block`
        if len(solved) == 16:  # the second block of tracks in iteration 3
            raise KeyboardInterrupt
        solved.append(block)
        solve_block(block, *arguments)

    monkeypatch.setattr(blockwise, "solve_block", solve)
    with pytest.raises(KeyboardInterrupt):
        fit(dataset, 3, config, 5, tmp_path)
    monkeypatch.undo()
    done: list[float] = []
    state = fit(dataset, number, config, 5, tmp_path, done.append)
    assert done == [3, 4, 5]
    assert_same(state, dataset, config)
    blocks = cut_blocks(number, dataset, "training")
    newest = {block.file(5).name for cut in blocks for block in cut}
    left = {file.name for file in (tmp_path / "fit").iterdir()}
    assert left == {"newest.json", *newest}
