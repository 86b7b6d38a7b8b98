"""Tracks excluded by requests and by a file, in sessions and in lists without a session."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from botify.app import prepare
from botify.service import Service
from looplib.errors import UserError
from tests.botify.client import client_of, events, post
from tests.botify.conftest import MakeService, start_service
from tests.botify.exports import (
    make_settings,
    publish,
    update_manifest,
    write_catalogue,
    write_lists,
)
from tests.waiting import wait_until


@pytest.fixture
def ruled(tmp_path: Path, make_service: MakeService) -> Service:
    """Start a service of two lists, with similar tracks and a file of rules."""
    make_service(tracks=10, listeners=2).close()
    catalogue, rules = tmp_path / "tracks.json", tmp_path / "rules.yaml"
    rules.write_text("exclude: [1, 77]\n")
    lists = {7: [9, 4, 5, 1], 8: [5, 4]}
    folder = publish(tmp_path, "two", lists, catalogue=catalogue)
    write_lists(folder / "similar.jsonl", {0: [3, 2, 1], 3: [0, 5]}, of="track")
    update_manifest(folder, "similar.jsonl")
    return start_service(
        tmp_path, catalogue, recommender="in_order", rules=str(rules), watch_s=0.01
    )


def tracks(client: FlaskClient, path: str) -> Any:  # noqa: ANN401  JSON
    answer = client.get(path)
    assert answer.status_code == 200, answer.data
    return answer.get_json()["tracks"]


def test_lists_are_answered_without_a_session_by_the_rules(ruled: Service) -> None:
    client = client_of(ruled)
    assert client.get("/recommend/7").json == {"user": 7, "tracks": [9, 4, 5]}
    assert tracks(client, "/recommend/7?n=1&exclude=9&exclude=77") == [4]
    assert tracks(client, "/recommend/12") == [4, 5, 9]  # of most lists
    assert tracks(client, "/similar/0") == [3, 2]
    assert tracks(client, "/similar/3?n=1") == [0]
    assert tracks(client, "/similar/4") == []
    assert client.get("/similar/10").status_code == 404
    assert events(ruled) == []


def test_next_answers_nothing_that_is_excluded(ruled: Service) -> None:
    client = client_of(ruled)
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


def test_rules_are_read_again_and_a_mistake_leaves_the_earlier_ones(
    ruled: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client, ranked = client_of(ruled), [4, 5, 1]
    rules_file = tmp_path / "rules.yaml"
    rules_file.write_text("exclude: [9]\n")
    wait_until(lambda: tracks(client, "/recommend/7") == ranked, "the rules")
    rules_file.write_text("exclud: [1]\n")

    def is_reported() -> bool:
        assert tracks(client, "/recommend/7") == ranked
        return "the nearest known key is exclude" in caplog.text

    wait_until(is_reported, "a warning")


def test_a_service_does_not_start_with_wrong_rules(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", [0, 1])
    publish(tmp_path, "one", {0: [1]}, catalogue=catalogue)
    settings = make_settings(tmp_path, catalogue, rules=str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match=r"none.yaml: cannot be read"):
        prepare(settings)
