"""Logs, stores and recommendations as the command finds them."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis import queries
from analysis.ab.source import find
from analysis.errors import AnalysisError
from analysis.offpolicy.recommendations import learned_from, read_recommendations
from analysis.offpolicy.sources import attach_events, catalogue_size_of, digests_of
from recsys.store.remote import open_store
from tests.recsys.logs import make_store, random_sessions, write_log

SESSIONS = random_sessions(1, listeners=5, tracks=9, sessions=20)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "made", SESSIONS, tracks=9)


def test_logs_and_stores_are_not_taken_together(store: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "other" / "events.jsonl", SESSIONS)
    with queries.connect() as connection, pytest.raises(AnalysisError, match="name one kind"):
        attach_events(connection, find([store, log]), tmp_path)


def test_a_store_that_lacks_a_file_or_has_none_is_refused(store: Path, tmp_path: Path) -> None:
    next(store.rglob("*.parquet")).unlink()
    with queries.connect() as connection, pytest.raises(AnalysisError, match="it is missing"):
        attach_events(connection, find([store]), tmp_path)
    manifest = store / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"parts": []}))
    with queries.connect() as connection, pytest.raises(AnalysisError, match="empty session store"):
        attach_events(connection, find([store]), tmp_path)


def test_the_catalogue_is_that_of_the_store_or_beside_the_log_and_only_one(store: Path, tmp_path: Path) -> None:
    log = tmp_path / "made" / "log"
    assert catalogue_size_of(find([store])) == catalogue_size_of(find([log])) == 9
    assert catalogue_size_of(find([write_log(tmp_path / "bare" / "events.jsonl", SESSIONS)])) is None
    other = write_log(tmp_path / "other" / "events.jsonl", SESSIONS)
    collection = other.parent / "collection.json"
    collection.write_text('{"catalogue": {"tracks": 8}}')
    with pytest.raises(AnalysisError, match=r"has 9.*has 8"):
        catalogue_size_of(find([log, other]))
    for content in ("{", "[]", '{"catalogue": {"tracks": "nine"}}'):
        collection.write_text(content)
        with pytest.raises(AnalysisError, match="catalogue"):
            catalogue_size_of(find([other]))


def test_lists_of_a_store_are_known_to_be_learned_from_it_and_from_its_logs(store: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"data": {"store": open_store(store).digest}}))
    assert learned_from(manifest, digests_of(find([store])))
    assert learned_from(manifest, digests_of(find([tmp_path / "made" / "log"])))
    assert not learned_from(manifest, ["0" * 32])
    assert not learned_from(tmp_path / "none.json", digests_of(find([store])))


def test_short_lists_are_filled_up_and_users_sorted(tmp_path: Path) -> None:
    file = tmp_path / "a=b.jsonl"
    file.write_text('{"user": 7, "tracks": [1]}\n{"user": 3, "tracks": [2, 5, 4]}\n{"user": 9, "tracks": []}\n')
    found = read_recommendations(str(file))
    assert found.name == "a=b"
    assert found.users.tolist() == [3, 7, 9]
    assert found.tracks.tolist() == [[2, 5, 4], [1, -1, -1], [-1, -1, -1]]
    assert read_recommendations(f"T1={file}").name == "T1"


def test_scores_are_products_of_factors_and_0_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "lists.jsonl").write_text('{"user": 3, "tracks": [2, 8]}\n{"user": 4, "tracks": [2]}\n')
    users, of_users = np.array([3]), np.array([[1.0, 2.0]])
    tracks, of_tracks = np.array([0, 2]), np.array([[9.0, 9.0], [0.5, 0.25]])
    file = tmp_path / "factors.npz"
    np.savez(file, users=users, user_factors=of_users, tracks=tracks, item_factors=of_tracks)
    found = read_recommendations(str(tmp_path / "lists.jsonl"))
    assert found.scores is not None
    assert found.scores.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert read_recommendations(str(tmp_path / "lists.jsonl"), with_scores=False).scores is None
    np.save(tmp_path / "array.npy", users)
    for content in (b"no zip", b"", (tmp_path / "array.npy").read_bytes()):
        file.write_bytes(content)
        with pytest.raises(AnalysisError, match=r"factors\.npz"):
            read_recommendations(str(tmp_path / "lists.jsonl"))
    np.savez(file, users=users, user_factors=of_users, tracks=tracks)
    with pytest.raises(AnalysisError, match="item_factors"):
        read_recommendations(str(tmp_path / "lists.jsonl"))


@pytest.mark.parametrize("content", ["{", "[]", '{"data": 3}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "lists.jsonl").write_text('{"user": 3, "tracks": [2, 8]}\n')
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(AnalysisError, match=r"manifest\.json"):
        read_recommendations(str(tmp_path / "lists.jsonl"))
