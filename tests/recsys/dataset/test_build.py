"""Datasets of tables: their sums and splits by the ids that came in, whatever the order."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis.store import Store
from recsys.config import SearchConfig, Split, ValidationConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import SplitName
from recsys.dataset.plan import plan_dataset
from recsys.errors import SearchError
from recsys.store.ids import originals
from tests.recsys.opened import dataset_of
from tests.recsys.tables import (
    Row,
    ingest_rows,
    ingest_tables,
    random_interactions,
    write_csv,
)

Pairs = dict[tuple[Any, Any], float]
PAIRS = "user=uid,item=song"
HALF = {"train": random_interactions(0, 600), "test": random_interactions(1, 600)}


def dataset_from(store: Store, folder: Path, **settings: Any) -> Dataset:  # noqa: ANN401  sections of the configuration
    return dataset_of(SearchConfig(store=store.path, run=folder / "run", **settings))


def ingest_by_name(folder: Path, tables: dict[str, list[Row]]) -> Store:
    files = [write_csv(folder / f"{name}.csv", rows) for name, rows in tables.items()]
    return ingest_tables(folder, *files)


def sums(rows: Sequence[Row]) -> Pairs:
    total: Pairs = defaultdict(float)
    for row in rows:
        total[row["uid"], row["song"]] += row["seconds"]
    return dict(total)


def read_pairs(store: Store, dataset: Dataset, split: SplitName | None) -> Pairs:
    """What a matrix, or else the held-out listening, has by the ids that came in."""
    users = originals(store, "users", dataset.users).tolist()
    items = originals(store, "items", dataset.tracks).tolist()
    if split is None:
        rows = pq.read_table(dataset.heldout).to_pylist()
        return {(users[row["user"]], items[row["track"]]): row["time"] for row in rows}
    cells = dataset.matrix(split).tocoo()
    return {
        (users[row], items[column]): float(value)
        for row, column, value in zip(cells.row, cells.col, cells.data, strict=True)
    }


def test_without_weights_each_row_weighs_one_and_without_moments_a_pair_is_in_one_split_whole(
    tmp_path: Path,
) -> None:
    rows = random_interactions(3, 2000, users=20, items=50)
    store = ingest_rows(tmp_path, rows, PAIRS)
    dataset = dataset_from(
        store,
        tmp_path,
        split=Split(holdout=0.3),
        validation=ValidationConfig(min_time=1.0),
    )
    expected = sums([row | {"seconds": 1.0} for row in rows])
    training = read_pairs(store, dataset, "training")
    heldout = read_pairs(store, dataset, None)
    assert read_pairs(store, dataset, "all") == training | heldout == expected
    assert not training.keys() & heldout.keys()
    assert 0.2 < len(heldout) / len(expected) < 0.4


def test_a_published_split_is_kept(tmp_path: Path) -> None:
    """Train, test and a third file that is in neither."""
    store = ingest_by_name(tmp_path, HALF | {"valid": random_interactions(2, 600)})
    split = Split(kind="files", train=("train.csv",), test=(str(tmp_path / "te*.csv"),))
    dataset = dataset_from(store, tmp_path, split=split)
    expected: dict[SplitName | None, list[Row]] = {
        "training": HALF["train"],
        None: HALF["test"],
        "all": HALF["train"] + HALF["test"],
    }
    for name, rows in expected.items():
        pairs = read_pairs(store, dataset, name)
        assert pairs == pytest.approx(sums(rows), rel=1e-6)


def test_without_a_test_file_a_share_of_the_training_file_chooses_and_the_others_are_left_out(
    tmp_path: Path,
) -> None:
    store = ingest_by_name(tmp_path, HALF)
    split = Split(kind="files", train=("train.csv",), holdout=0.3)
    dataset = dataset_from(store, tmp_path, split=split)
    pairs = read_pairs(store, dataset, "all")
    assert pairs == pytest.approx(sums(HALF["train"]), rel=1e-6)
    facts = dataset.summary
    assert 0.2 * facts.sessions < facts.heldout_sessions < 0.4 * facts.sessions


def test_by_time_the_newest_interactions_are_held_out(tmp_path: Path) -> None:
    rows = random_interactions(5, 1000)
    store = ingest_rows(tmp_path, rows)
    dataset = dataset_from(store, tmp_path, split=Split(kind="time", holdout=0.2))
    sessions = {(row["uid"], row["ts"]) for row in rows}
    cutoff = next(
        moment
        for moment in sorted({row["ts"] for row in rows})
        if sum(ts >= moment for _, ts in sessions) <= 0.2 * len(sessions)
    )
    newest = sums([row for row in rows if row["ts"] >= cutoff])
    assert read_pairs(store, dataset, None) == pytest.approx(newest)
    until = datetime.fromtimestamp(cutoff, UTC)
    dataset = dataset_from(store, tmp_path, split=Split(holdout=0.2, until=until))
    older = sums([row for row in rows if row["ts"] < cutoff])
    assert read_pairs(store, dataset, "all") == pytest.approx(older)
    # A track exists from its first play on.
    exist = originals(store, "items", dataset.tracks).tolist()
    assert sorted(exist) == sorted({song for _, song in older})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"split": Split(kind="files", train=("a.csv",), test=("b.csv",))},
            "split.test: no file b.csv in",
        ),
        (
            {"split": Split(kind="files", train=("a.csv",), test=("*.csv",))},
            "a file belongs to one",
        ),
        ({"split": Split(kind="time")}, "split.kind time needs timestamps"),
        ({"split": Split(kind="last_session")}, "split.kind last_session needs times"),
        ({"split": Split(until=datetime.now(UTC))}, "split.until needs timestamps"),
    ],
)
def test_what_interactions_cannot_give_is_refused(
    settings: Row, message: str, tmp_path: Path
) -> None:
    store = ingest_rows(tmp_path, random_interactions(1, 1), PAIRS)
    config = SearchConfig(store=store.path, run=tmp_path / "run", **settings)
    with pytest.raises(SearchError, match=message):
        plan_dataset(store, config)


def test_what_is_all_of_one_listener_is_refused(tmp_path: Path) -> None:
    store = ingest_rows(tmp_path, random_interactions(1, 20, users=1))
    with pytest.raises(SearchError, match="all rows are of one listener"):
        dataset_from(store, tmp_path, split=Split(holdout=0.5))
