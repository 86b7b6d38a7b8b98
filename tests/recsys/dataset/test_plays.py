"""Plays in their order: from tables with positions or timestamps, or without any."""

from pathlib import Path

import pytest

from recsys.config import SearchConfig
from recsys.dataset.interactions import read_plays
from recsys.errors import SearchError
from tests.recsys.opened import dataset_of, search_of
from tests.recsys.plays import dataset_of_plays, make_plays_store, random_plays

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
    first, second = (read_plays(dataset, "all") for dataset in (by_position, by_time))
    assert first.tracks.tolist() == second.tracks.tolist()
    assert first.indptr.tolist() == second.indptr.tolist()


@pytest.mark.slow
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
        read_plays(dataset, "training")
    with pytest.raises(SearchError, match="needs timestamps or positions"):
        dataset_of(
            config.model_copy(
                update={"split": config.split.model_copy(update={"kind": "newest"})}
            )
        )
