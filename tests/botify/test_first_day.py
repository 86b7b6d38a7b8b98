"""A service that starts on a catalogue alone, and what it says when it starts."""

import logging
from pathlib import Path

import orjson
import pytest

from botify.errors import ModelError
from botify.service import Service, load_configured
from botify.serving import _announce
from tests.botify.client import client_of
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue

LEARNED = [
    "top_pop",
    "indexed",
    "in_order",
    "contextual",
    "session_als",
    "fold_in",
]


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    return write_catalogue(tmp_path / "tracks.json", [track % 9 for track in range(60)])


def test_every_arm_answers_on_a_catalogue_alone(
    tmp_path: Path, catalogue_file: Path
) -> None:
    arms = [{"recommender": name} for name in ("random", "sticky_artist", *LEARNED)]
    experiments = [{"name": "ONE", "arms": arms}]
    settings = make_settings(
        tmp_path, catalogue_file, recommendations=None, experiments=experiments
    )
    service = Service(settings, load_configured(settings))
    client = client_of(service)
    for user in range(60):
        for _ in range(3):
            assert (
                client.post(
                    f"/next/{user}", json={"track": user, "time": 0.8}
                ).status_code
                == 200
            )
    many = [{"user": user, "track": user % 60, "time": 0.8} for user in range(200)]
    assert client.post("/next", json={"requests": many}).status_code == 200
    assert client.get("/experiments").get_json()["version"] == "none"
    assert client.get("/health/ready").status_code == 200
    for change in (service.versions.reload, service.versions.roll_back):
        with pytest.raises(ModelError, match="recommendations: none are configured"):
            change()
    service.close()
    lines = b"".join(
        file.read_bytes() for file in (tmp_path / "log").glob("*.jsonl")
    ).splitlines()
    by_arm = {
        (event["experiments"]["ONE"], event["recommender"])
        for event in map(orjson.loads, lines)
    }
    assert {recommender for arm, recommender in by_arm if arm not in ("C", "T1")} == {
        "random"
    }
    notes = settings.lacking(service.versions.model)
    assert [note.split(" needs ")[0] for note in notes] == [
        f"arm T{i}: {name}" for i, name in enumerate(LEARNED, 2)
    ]
    assert (
        notes[1]
        == "arm T3: indexed needs lists, which version none lacks; instead: random"
    )


def test_the_start_says_where_what_and_to_whom(
    tmp_path: Path, catalogue_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, "one", random_lists(20, 60), catalogue=catalogue_file)
    arms = [{"recommender": "indexed", "weight": 3}, {"recommender": "next_track"}]
    settings = make_settings(
        tmp_path, catalogue_file, experiments=[{"name": "ONE", "arms": arms}]
    )
    caplog.set_level(logging.INFO, "botify")
    _announce(settings, load_configured(settings), 5005)
    assert caplog.messages == [
        "http://127.0.0.1:5005, to read about it: http://127.0.0.1:5005/docs",
        "version one: lists of 20 listeners, a catalogue of 60 tracks",
        "experiment ONE (picks the recommender): C indexed 75%, T1 next_track 25%",
        f"events are logged in {tmp_path / 'log'}; the file under way is hidden: .events-…",
        "arm T1: next_track needs next_track.npz, which version one lacks; "
        "instead: top_pop, random",
    ]
