"""Writing to a session store: one writer at a time, and only to a store's own folder."""

from pathlib import Path

import pytest

from analysis.store import open_store
from recsys.errors import StorageError, StoreError
from recsys.storage import open_workspace
from recsys.store.writer import locked
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


def test_the_number_of_partitions_is_the_stores(tmp_path: Path) -> None:
    write_store(tmp_path)
    workspace = open_workspace(tmp_path)
    refused = pytest.raises(StoreError, match="has 4 partitions, not 3; a new number")
    with refused, locked(workspace, 3):
        pass
    with locked(workspace) as (_, store):
        assert store.manifest.partitions == 4
