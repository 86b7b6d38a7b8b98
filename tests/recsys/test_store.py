"""The session store as its readers see it."""

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import queries
from analysis.logs.reader import LineCounts
from recsys.errors import StorageError, StoreError
from recsys.store import manifest as session_store
from recsys.store.manifest import Catalogue, Manifest, Part, Source, bucket_of, content_digest, open_store
from recsys.store.writer import locked
from recsys.workspace import open_workspace

SOURCE = Source("events.jsonl", "ab" * 16, 120, LineCounts(3, 2, 1, 0))


def write_store(path: Path) -> Manifest:
    part = path / "bucket=001" / "part-a.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"12345")
    manifest = Manifest(1, 4, content_digest(()), Catalogue("0" * 64, 90), 0, 17, 19, (), ())
    manifest = session_store.extend_manifest(
        manifest, sources=[SOURCE], parts=[Part("bucket=001/part-a.parquet", 1, 2, 5)]
    )
    session_store.write_manifest(open_workspace(path), manifest)
    return manifest


def test_a_store_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = write_store(tmp_path)
    store = open_store(tmp_path)
    assert store.manifest == manifest
    assert (store.buckets, store.events, store.bytes, store.catalogue) == (4, 2, 5, Catalogue("0" * 64, 90))
    assert store.bucket_files(1) == [tmp_path / "bucket=001" / "part-a.parquet"]
    assert store.bucket_files(0) == []


@pytest.mark.parametrize("bucket", [-1, 4])
def test_there_are_no_further_buckets(tmp_path: Path, bucket: int) -> None:
    write_store(tmp_path)
    with pytest.raises(ValueError, match=r"not in 0\.\.3"):
        open_store(tmp_path).bucket_files(bucket)


@pytest.mark.parametrize("place", ["", "nowhere", "file"])
def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"no session store here .* create one with python -m recsys\.ingest"):
        open_store(tmp_path / place)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": "1"}', "\x00"])
def test_a_damaged_manifest_is_said_to_be(tmp_path: Path, content: str) -> None:
    write_store(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json: damaged"):
        open_store(tmp_path)


def test_a_newer_store_is_not_guessed_at(tmp_path: Path) -> None:
    write_store(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 3, "shards": document["parts"]}))
    with pytest.raises(StoreError, match="schema 3 is newer than this program's 2"):
        open_store(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_store(tmp_path)
    (tmp_path / "bucket=001" / "part-a.parquet").unlink()
    with pytest.raises(StoreError, match=r"part-a\.parquet: the manifest names this part, and it is missing"):
        open_store(tmp_path)


def test_a_cut_part_is_named(tmp_path: Path) -> None:
    write_store(tmp_path)
    os.truncate(tmp_path / "bucket=001" / "part-a.parquet", 3)
    with pytest.raises(StoreError, match=r"part-a\.parquet: the manifest says 5 bytes, found 3"):
        open_store(tmp_path)


def test_the_digest_is_that_of_the_set_of_sources() -> None:
    assert content_digest(["a", "b"]) == content_digest(["b", "a", "b"])
    assert content_digest(["a", "b"]) != content_digest(["ab"])
    assert content_digest([]) != content_digest(["a"])


def test_only_one_writer_at_a_time(tmp_path: Path) -> None:
    store = tmp_path / "store"
    refused = pytest.raises(StorageError, match="another ingest is at work here")
    with locked(open_workspace(store)), refused, locked(open_workspace(store)):
        pass
    with locked(open_workspace(store)):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with (
        pytest.raises(StoreError, match=r"not a session store, it holds thesis\.tex"),
        locked(open_workspace(tmp_path)),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with (
        pytest.raises(StorageError, match="a folder is needed, and this is a file"),
        locked(open_workspace(tmp_path / "store")),
    ):
        pass


def test_what_the_manifest_does_not_name_is_cleared_by_the_next_writer(tmp_path: Path) -> None:
    manifest = write_store(tmp_path)
    (tmp_path / "rejects").mkdir()
    kept = tmp_path / "rejects" / f"{SOURCE.digest}.jsonl"
    left = [tmp_path / "rejects" / "other.jsonl", tmp_path / "bucket=001" / "part-b.parquet", tmp_path / ".tmp-x"]
    for file in (kept, *left):
        file.write_text("x")
    assert open_store(tmp_path).manifest == manifest
    with locked(open_workspace(tmp_path)):
        assert kept.exists()
        assert not any(file.exists() for file in left)
    assert open_store(tmp_path).manifest == manifest


USERS = [0, 1, 2, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**62 + 12345, 2**63 - 1]


def sql_buckets(users: list[int], buckets: int) -> list[int]:
    connection = queries.connect(threads=1)
    events = pa.table({"user": pa.array(users, pa.int64())})
    filler = "0 AS timestamp, 'next' AS message, 0 AS track, 0 AS time, 0 AS latency, 0 AS recommendation"
    texts = "NULL AS experiments, NULL AS session, NULL AS recommender, 0 AS propensity"
    connection.register("users", events)
    connection.execute(f"CREATE VIEW events AS SELECT user, {filler}, {texts} FROM users")  # noqa: S608  constants
    table = queries.fetch_table(connection, "events/bucketed_events", buckets=buckets)
    return [int(bucket) for bucket in table["bucket"].to_pylist()]


@pytest.mark.parametrize("buckets", [1, 2, 16, 1000, 4096])
def test_the_bucket_is_the_same_in_sql_and_in_python(buckets: int) -> None:
    assert sql_buckets(USERS, buckets) == [bucket_of(user, buckets) for user in USERS]


@given(user=st.integers(0, 2**63 - 1), buckets=st.integers(1, 4096))
def test_a_bucket_is_one_of_the_buckets(user: int, buckets: int) -> None:
    assert 0 <= bucket_of(user, buckets) < buckets


def test_the_bucket_of_a_user_never_changes() -> None:
    assert [bucket_of(user, 16) for user in USERS] == [0, 0, 0, 15, 6, 14, 8, 0, 0, 1, 14]


@pytest.mark.parametrize("stride", [1, 2, 16, 1000, 2**20, 2**32])
def test_users_spread_evenly_whatever_the_step_between_their_ids(stride: int) -> None:
    sizes = Counter(bucket_of(stride * number, 16) for number in range(4096))
    expected = 4096 / 16
    assert min(sizes[bucket] for bucket in range(16)) > 0.5 * expected
    assert max(sizes.values()) < 1.5 * expected


def test_the_manifest_counts_what_it_names(tmp_path: Path) -> None:
    manifest = write_store(tmp_path)
    more = [Part(f"bucket=002/part-{name}.parquet", 2, 10, 1) for name in "cb"]
    extended = session_store.extend_manifest(manifest, sources=[dataclasses.replace(SOURCE, digest="00")], parts=more)
    assert extended.events == 22
    assert [source.digest for source in extended.sources] == ["00", SOURCE.digest]
    assert [part.path for part in extended.parts] == sorted(part.path for part in extended.parts)
    assert np.sum([part.rows for part in extended.parts]) == 22
