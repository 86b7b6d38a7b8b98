"""Writing to a session store: one writer at a time, and only to a store's own folder."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.logs.lines import LineCounts
from analysis.store import Source, open_store
from recsys.errors import StorageError, StoreError
from recsys.storage import open_workspace
from recsys.store.writer import commit, locked
from tests.analysis.test_store import SOURCE, write_store


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


def test_what_the_manifest_does_not_name_is_cleared_by_the_next_writer(
    tmp_path: Path,
) -> None:
    manifest = write_store(tmp_path)
    for folder in ("rejects", "ids"):
        (tmp_path / folder).mkdir()
    kept = tmp_path / "rejects" / f"{SOURCE.digest}.jsonl"
    left = [
        tmp_path / "rejects" / "other.jsonl",
        tmp_path / "partition=001" / "part-b.parquet",
        tmp_path / "ids" / "users-b.parquet",
        tmp_path / ".tmp-x",
    ]
    for file in (kept, *left):
        file.write_text("x")
    assert open_store(tmp_path).manifest == manifest
    with locked(open_workspace(tmp_path)):
        assert kept.exists()
        assert not any(file.exists() for file in left)
    assert open_store(tmp_path).manifest == manifest


def test_a_commit_counts_and_sorts_what_it_adds(tmp_path: Path) -> None:
    write_store(tmp_path)
    rows = pa.table({"timestamp": [5, None]})
    pq.write_table(rows, tmp_path / "new.parquet")
    size = (tmp_path / "new.parquet").stat().st_size
    source = Source("more.jsonl", "00", 9, LineCounts(2, 1, 1))
    scratch = tmp_path / ".tmp-scratch"
    parts = {2: tmp_path / "new.parquet"}
    workspace = open_workspace(tmp_path)
    with locked(workspace, 4) as (lock, before):
        (scratch / "rejects").mkdir(parents=True)
        (scratch / source.rejects).write_text("{}")
        extended = replace(before.manifest, sources=(SOURCE, source))
        after = commit(lock, extended, scratch, parts, {})
    assert open_store(tmp_path) == after
    assert after.manifest.events == 4
    assert after.manifest.sources == (source, SOURCE)
    part = after.manifest.parts[1]
    assert (part.partition, part.rows, part.bytes) == (2, 2, size)
    assert pq.ParquetFile(tmp_path / part.path).read() == rows
    assert (tmp_path / source.rejects).read_text() == "{}"
    assert after.manifest.digest != before.manifest.digest


def test_the_number_of_partitions_is_the_stores(tmp_path: Path) -> None:
    write_store(tmp_path)
    workspace = open_workspace(tmp_path)
    refused = pytest.raises(StoreError, match="has 4 partitions, not 3; a new number")
    with refused, locked(workspace, 3):
        pass
    with locked(workspace) as (_, store):
        assert store.manifest.partitions == 4
