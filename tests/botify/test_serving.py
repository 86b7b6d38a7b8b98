import logging
from pathlib import Path

import pytest

from botify.service import load_configured
from botify.serving import announce
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue


def test_the_start_says_where_what_and_to_whom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", range(60))
    publish(tmp_path, "one", random_lists(20, 60), catalogue=catalogue)
    arms = [{"recommender": "indexed", "weight": 3}, {"recommender": "next_track"}]
    experiments = [{"name": "ONE", "arms": arms}]
    settings = make_settings(tmp_path, catalogue, experiments=experiments)
    caplog.set_level(logging.INFO, "botify")
    announce(settings, load_configured(settings), 5005)
    assert caplog.messages == [
        "http://127.0.0.1:5005, to read about it: http://127.0.0.1:5005/docs",
        "version one: lists of 20 listeners, a catalogue of 60 tracks",
        "experiment ONE (picks the recommender): C indexed 75%, T1 next_track 25%",
        f"events are logged in {tmp_path / 'log'}; the file under way is hidden: .events-…",
        "arm T1: next_track needs next_track.npz, which version one lacks; "
        "instead: top_pop, random",
    ]
