"""Plays in their order: from tables with positions or timestamps, or without any."""

from pathlib import Path

import pytest

from recsys.config import SearchConfig
from recsys.dataset.plays import read_plays
from recsys.errors import SplitError
from tests.recsys.opened import dataset_of, search_of
from tests.recsys.plays import COLUMNS, dataset_of_plays, make_plays_store, random_plays
from tests.recsys.tables import ingest, write_csv

pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")
UNORDERED = "user=listener,item=track"


def test_positions_order_plays_as_timestamps_do(tmp_path: Path) -> None:
    rows = random_plays(1, listeners=9)
    (tmp_path / "timed").mkdir()
    by_position = dataset_of_plays(tmp_path, rows)
    timed = [row | {"position": 1_700_000_000 + 60 * row["position"]} for row in rows]
    store = make_plays_store(
        tmp_path / "timed",
        timed,
        "user=listener,item=track,timestamp=position,artist=artist",
    )
    by_time = dataset_of(
        SearchConfig(store=store, run=tmp_path / "run", split={"kind": "newest"})
    )
    found = read_plays(by_position, "total"), read_plays(by_time, "total")
    assert found[0].tracks.tolist() == found[1].tracks.tolist()
    assert found[0].indptr.tolist() == found[1].indptr.tolist()


def test_the_newest_are_a_share_of_each_listener(tmp_path: Path) -> None:
    dataset = dataset_of_plays(tmp_path, random_plays(1, listeners=5, plays=11))
    assert read_plays(dataset, "total").counts.tolist() == [11] * 5
    assert read_plays(dataset, "train").counts.tolist() == [9] * 5


def test_without_an_order_what_needs_one_is_left_out_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_plays_store(tmp_path, random_plays(1), UNORDERED)
    config = SearchConfig.model_validate(
        {
            "store": str(store),
            "run": str(tmp_path / "run"),
            "models": {
                "als": {"factors": 4},
                "activation": {},
                "item_knn": {},
                "blend": {},
            },
            "search": {"iterations": 1},
            "validation": {"resamples": 100},
        }
    )
    search_of(config)
    said = capsys.readouterr().err
    assert "have no order: activation, blend, latest; ingest them with" in said
    dataset = dataset_of(config)
    with pytest.raises(FileNotFoundError):
        read_plays(dataset, "train")
    with pytest.raises(SplitError, match="needs timestamps or positions"):
        dataset_of(
            config.model_copy(
                update={"split": config.split.model_copy(update={"kind": "newest"})}
            )
        )


def test_plays_are_ordered_by_positions_or_by_timestamps_not_by_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "plays.csv", random_plays(1, listeners=2, plays=3))
    columns = f"{COLUMNS},timestamp=position"
    assert ingest(tmp_path / "store", file, "--columns", columns) == 2
    assert "timestamp and position both order" in capsys.readouterr().err


def test_a_row_whose_position_is_no_whole_number_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = random_plays(1, listeners=2, plays=5)
    for row, position in zip(rows, ("", "x", "1.5", "-1"), strict=False):
        row["position"] = position
    file = write_csv(tmp_path / "plays.csv", rows)
    arguments = (tmp_path / "store", file, "--columns", COLUMNS)
    assert ingest(*arguments, "--allow-rejects") == 0
    said = capsys.readouterr().out
    assert "10 lines = 6 good + 4 rejected" in said
    reasons = "".join(
        path.read_text() for path in (tmp_path / "store/rejects").iterdir()
    )
    for reason in ("position is missing", "position x; a whole number", "position 1.5"):
        assert reason in reasons
