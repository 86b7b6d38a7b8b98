"""Tracks excluded by requests and by a setting, in sessions and in lists without a session."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from botify.service import Service
from tests.botify.client import client_of, events, post
from tests.botify.conftest import MakeService, start_service
from tests.botify.exports import publish, update_manifest, write_lists


@pytest.fixture
def excluding(tmp_path: Path, make_service: MakeService) -> Service:
    """Start a service of two lists, with similar tracks and an excluded one."""
    make_service(tracks=10).close()
    catalogue = tmp_path / "tracks.json"
    lists = {7: [9, 4, 5, 1], 8: [5, 4]}
    folder = publish(tmp_path, "two", lists, catalogue=catalogue)
    write_lists(folder / "similar.jsonl", {0: [3, 2, 1], 3: [0, 5]}, of="track")
    update_manifest(folder, "similar.jsonl")
    return start_service(tmp_path, catalogue, recommender="in_order", exclude=[1, 77])


def tracks(client: FlaskClient, path: str) -> Any:  # noqa: ANN401  JSON
    return client.get(path).get_json()["tracks"]


def test_lists_are_answered_without_a_session_or_excluded_tracks(
    excluding: Service,
) -> None:
    client = client_of(excluding)
    assert client.get("/recommend/7").json == {"user": 7, "tracks": [9, 4, 5]}
    assert tracks(client, "/recommend/7?n=1&exclude=9&exclude=77") == [4]
    for path, best in (("/recommend/7", 9), ("/similar/0", 3)):
        record = client.get(f"/track/{best}").get_json()
        answer = client.get(f"{path}?titles=1&n=1").get_json()
        assert answer["titles"] == [record]
        assert answer["tracks"] == [best]
    assert tracks(client, "/recommend/12") == [4, 5, 9]  # most lists have them
    assert tracks(client, "/similar/0") == [3, 2]
    assert tracks(client, "/similar/3?n=1") == [0]
    assert tracks(client, "/similar/4") == []
    assert client.get("/similar/10").status_code == 404
    assert events(excluding) == []


def test_next_answers_nothing_that_is_excluded(excluding: Service) -> None:
    client = client_of(excluding)
    heard = {"track": 0, "time": 1}
    assert post(client, "/next/7", heard | {"exclude": [9, 4]})["track"] == 5
    batch = [{"user": 8, **heard, "exclude": [5]}, {"user": 8, **heard}]
    answers = post(client, "/next", {"requests": batch})["responses"]
    assert [answer["track"] for answer in answers] == [4, 5]
    for _ in range(30):  # beyond the catalogue, so that tracks repeat
        answer = post(client, "/next/7", heard | {"exclude": [2, 3, 4, 5, 6, 7, 8]})
        assert answer["track"] in {0, 9}
        heard = {"track": answer["track"], "time": 1}
    everything = {"track": 0, "time": 1, "exclude": [0, *range(2, 10)]}
    assert "no track" in post(client, "/next/7", everything, 400)["error"]
