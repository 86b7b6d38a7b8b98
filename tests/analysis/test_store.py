"""The session store as its readers see it."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from analysis.errors import StoreError
from analysis.logs.lines import LineCounts
from analysis.store import (
    MANIFEST,
    SCHEMA,
    CatalogueSummary,
    Manifest,
    Source,
    StoreFile,
    check_files,
    content_digest,
    open_store,
)

SOURCE = Source("events.jsonl", "ab" * 16, 120, LineCounts(3, 2, 1))


def write_store(path: Path) -> Manifest:
    """Write a store of one part, which is no Parquet file."""
    part = path / "partition=001" / "part-a.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"12345")
    digest = sha256(b"12345").hexdigest()
    parts = (StoreFile("partition=001/part-a.parquet", 1, 2, 5, digest),)
    catalogue = CatalogueSummary("0" * 64, 90)
    manifest = Manifest(
        SCHEMA,
        4,
        content_digest([SOURCE.digest]),
        catalogue=catalogue,
        events=2,
        sources=(SOURCE,),
        parts=parts,
    )
    (path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def test_a_store_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = write_store(tmp_path)
    store = open_store(tmp_path)
    assert store.manifest == manifest
    assert store.manifest.catalogue_size == 90
    assert check_files(tmp_path, manifest.parts) == [
        tmp_path / "partition=001" / "part-a.parquet"
    ]


@pytest.mark.parametrize("name", ["", "nowhere", "file"])
def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError,
        match=r"no session store here .* create one with listening-loop ingest",
    ):
        open_store(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", f'{{"schema": {SCHEMA}}}', '{"schema": "1"}', "\x00"],
)
def test_a_damaged_manifest_is_said_to_be(tmp_path: Path, content: str) -> None:
    write_store(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json: damaged"):
        open_store(tmp_path)


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_a_store_of_another_schema_is_not_guessed_at(
    tmp_path: Path, schema: int
) -> None:
    write_store(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(
        json.dumps({"schema": schema, "shards": document["parts"]})
    )
    with pytest.raises(StoreError, match=f"schema {schema} found, this version reads"):
        open_store(tmp_path)


@pytest.mark.parametrize("damage", [os.unlink, lambda part: os.truncate(part, 3)])
def test_a_missing_or_cut_part_is_named(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_store(tmp_path)
    store = open_store(tmp_path)
    damage(tmp_path / "partition=001" / "part-a.parquet")
    with pytest.raises(StoreError, match=r"part-a\.parquet: .*ingest the sources anew"):
        check_files(tmp_path, store.manifest.parts)


def test_the_digest_is_that_of_the_set_of_sources() -> None:
    assert content_digest(["a", "b"]) == content_digest(["b", "a", "b"])
    assert content_digest(["a", "b"]) != content_digest(["ab"])
    assert content_digest([]) != content_digest(["a"])
