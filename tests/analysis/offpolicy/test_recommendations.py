"""Exported recommendations, and what their manifests say."""

from pathlib import Path

import pytest

from analysis.ab.sources import find_sources
from analysis.errors import AnalysisError
from analysis.offpolicy.recommendations import (
    learned_from,
    read_recommendations,
)
from recsys.store.remote import open_store
from tests.recsys.logs import make_store, random_sessions, write_log

SESSIONS, OTHER_SESSIONS = (
    random_sessions(seed, listeners=5, tracks=9, sessions=20) for seed in (1, 2)
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "made", SESSIONS, tracks=9)


def test_lists_of_a_store_are_known_to_be_learned_from_it_and_from_its_logs(
    store: Path, tmp_path: Path
) -> None:
    manifest = {"data": {"store": open_store(store).manifest.digest}}
    assert learned_from(manifest, find_sources([store]))
    assert learned_from(manifest, find_sources([tmp_path / "made" / "log"]))
    assert not learned_from(
        manifest,
        find_sources([write_log(tmp_path / "other" / "events.jsonl", OTHER_SESSIONS)]),
    )
    assert not learned_from({}, find_sources([store]))


def test_short_lists_are_filled_up_and_users_sorted(tmp_path: Path) -> None:
    file = tmp_path / "a=b.jsonl"
    file.write_text(
        '{"user": 7, "tracks": [1]}\n{"user": 3, "tracks": [2, 5, 4]}\n{"user": 9, "tracks": []}\n'
    )
    found = read_recommendations(str(file))
    assert found.name == "a=b"
    assert found.users.tolist() == [3, 7, 9]
    assert found.tracks.tolist() == [[2, 5, 4], [1, -1, -1], [-1, -1, -1]]
    assert (found.serving, read_recommendations(f"T1={file}").name) == ("random", "T1")
    in_order = read_recommendations(f"{file}:in-order")
    assert (in_order.serving, in_order.name) == ("in-order", "a=b")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"data": 3}', '{"files": {"lists.jsonl": 3}}', '{"model": 3}'],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "lists.jsonl").write_text('{"user": 3, "tracks": [2, 8]}\n')
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(AnalysisError, match=r"manifest\.json"):
        read_recommendations(str(tmp_path / "lists.jsonl"))
