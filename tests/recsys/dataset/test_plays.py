"""Plays in their order: from tables with positions or timestamps, or without any."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recsys.config import Search, SearchConfig
from recsys.dataset.interactions import read_plays
from recsys.errors import SearchError
from tests.recsys.opened import dataset_of, search_of
from tests.recsys.plays import dataset_of_plays, make_plays_store, random_plays

pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")
UNORDERED = "user=listener,item=track"


def test_a_gap_scores_only_what_is_played_after_so_many_held_out_plays(
    tmp_path: Path,
) -> None:
    rows = random_plays(2, listeners=9)
    split = {"kind": "newest", "holdout": 0.2, "gap": 5}
    dataset = dataset_of_plays(tmp_path, rows, split=split)
    first = read_plays(dataset, "training").counts
    everything = read_plays(dataset, "all")
    targets = pq.read_table(dataset.heldout).to_pylist()
    for row in range(9):
        tracks = everything.tracks[everything.indptr[row] : everything.indptr[row + 1]]
        heldout = {target["track"] for target in targets if target["user"] == row}
        assert heldout == set(tracks[first[row] + 5 :].tolist())


@pytest.mark.slow
def test_without_an_order_what_needs_one_is_left_out_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_plays_store(tmp_path, random_plays(1), UNORDERED)
    kinds = ("activation", "item_knn", "blend")
    config = SearchConfig(
        store=store,
        run=tmp_path / "run",
        models={"als": {"factors": 4}, **{kind: {} for kind in kinds}},
        search=Search(iterations=1),
    )
    search_of(config)
    said = capsys.readouterr().err
    assert "have no order: activation, blend, latest; ingest them with" in said
    dataset = dataset_of(config)
    with pytest.raises(FileNotFoundError):
        read_plays(dataset, "training")
    for update in ({"kind": "newest"}, {"gap": 20}):
        split = config.split.model_copy(update=update)
        with pytest.raises(SearchError, match="needs timestamps or positions"):
            dataset_of(config.model_copy(update={"split": split}))
