"""Published data sets are read as their presets say.

`tests/spec/file_shapes.yaml` has files of the presets that `init` recognizes.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import IngestError
from recsys.ingest.presets import preset_query
from recsys.store.ids import read_titles
from recsys.store.reader import open_store
from tests.recsys.events import event, rows_by_original_id
from tests.recsys.tables import ingest

# the file's name and content, and of its rows the user, the track, the amount or share, and for
# some the timestamp
PUBLISHED: dict[str, tuple[str, str, list[tuple[Any, ...]]]] = {
    "lastfm-1k": (
        "userid-timestamp-artid-artname-traid-traname.tsv",
        'user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep “Dish\ta-1\tLove "Song\n'
        'user_000001\t2009-05-04T13:54:10Z\tf1b1\t"Ann\t\tUntitled\n',
        [("user_000001", '"Ann - Untitled', 1.0), ("user_000001", "a-1", 1.0)],
    ),
    "yambda": (  # seconds, and percentages
        "listens.jsonl",
        '{"uid": 100, "timestamp": 39420, "item_id": 9000, "is_organic": 1,'
        ' "played_ratio_pct": 120, "track_length_seconds": 200}\n'
        '{"uid": 100, "timestamp": 39460, "item_id": 3000, "is_organic": 0,'
        ' "played_ratio_pct": 25, "track_length_seconds": 90}\n'
        '{"uid": 100, "timestamp": 39465, "item_id": 3000, "event_type": "like"}\n',
        [
            (100, 3000, 0.25, 39_460 * 1000),
            (100, 9000, 1.0, 39_420 * 1000),
        ],
    ),
    "event-log": (
        "log.jsonl",
        json.dumps(event(user=7, track=5, time=0.5, timestamp=1_767_225_600_000)),
        [(7, 5, 0.5, 1_767_225_600_000)],
    ),
    "lightgcn": (
        "train.txt",
        "2 17 4\n0\n1 17\n",
        [(1, 17, 1.0), (2, 4, 1.0), (2, 17, 1.0)],
    ),
}


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        IngestError, match="preset: nope is unknown; known are event-log"
    ):
        preset_query("nope", [])


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_published_data_set_is_read_as_its_preset_says(
    preset: str, tmp_path: Path
) -> None:
    name, text, expected = PUBLISHED[preset]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert ingest(tmp_path / "store", tmp_path / name, "--preset", preset) == 0
    store = open_store(tmp_path / "store")
    amount = "share" if "share" in store.manifest.columns else "amount"
    columns = ("user", "track", amount, "timestamp")[: len(expected[0])]
    rows = rows_by_original_id(store)
    assert sorted(tuple(row[name] for name in columns) for row in rows) == expected
    if preset == "lastfm-1k":
        titles = read_titles(None, store)
        assert (titles["a-1"].title, titles["a-1"].artist) == (
            'Love "Song',
            "Deep “Dish",
        )
        assert titles['"Ann - Untitled'].artist == '"Ann'
