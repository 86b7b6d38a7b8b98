"""Published lists have few tracks of an album, and the service limits them in the same way."""

from pathlib import Path

import numpy as np
import pytest

from botify.model.catalogue import load_catalogue
from recsys.config import ExportConfig, SearchConfig
from tests.botify.client import read_lines
from tests.botify.exports import read_lists
from tests.recsys.export.test_unplayed import write_plays
from tests.recsys.finished import finish_run
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import write_json

pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")


@pytest.mark.slow
def test_further_tracks_of_an_album_come_last(tmp_path: Path) -> None:
    catalogue = write_plays(tmp_path, lambda track: track)
    rows = [
        {**row, "album": f"album {row['track'] // 10}"} for row in read_lines(catalogue)
    ]
    write_json(catalogue, rows)
    settings = {"catalogue": catalogue, "features": {"album": "category"}}
    run = finish_run(tmp_path, split={"kind": "newest"}, **settings)
    options = ExportConfig(top=3, rerank={"most_per": {"album": 1}})
    version = publish_run(run, tmp_path / "out", options)

    lists = read_lists(version)
    assert lists
    for tracks in lists.values():
        albums = [track // 10 for track in tracks]
        assert len({*albums}) == len(albums)
    served = load_catalogue(version / "tracks.json")
    numbers = served.group("album")
    assert np.array_equal(np.unique(numbers, return_index=True)[1][:2], [0, 10])
    assert served.has("album")
    assert not served.has("mood")


def test_a_limit_of_an_unknown_column_is_refused_before_the_search(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"most_per: mood is not artist.*\(album\)"):
        SearchConfig(
            store=tmp_path,
            run=tmp_path,
            catalogue=tmp_path / "tracks.json",
            features={"album": "category", "year": "number"},
            export={"rerank": {"most_per": {"mood": 1}}},
        )
