"""The session store as its readers see it."""

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

PART = "partition=001/part-a.parquet"
SOURCE = Source("events.jsonl", "ab" * 16, 120, LineCounts(3, 2, 1))


def write_store(path: Path) -> Manifest:
    """Write a store of one part, which is no Parquet file."""
    part = path / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(b"12345")
    manifest = Manifest(
        SCHEMA,
        4,
        content_digest([SOURCE.digest]),
        catalogue=CatalogueSummary("0" * 64, 90),
        events=2,
        sources=(SOURCE,),
        parts=(StoreFile(PART, 1, 2, 5, sha256(b"12345").hexdigest()),),
    )
    (path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def test_a_store_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = write_store(tmp_path)
    store = open_store(tmp_path)
    assert store.manifest == manifest
    assert store.manifest.catalogue_size == 90
    assert check_files(tmp_path, manifest.parts) == [tmp_path / PART]


@pytest.mark.parametrize("name", ["", "nowhere", "file"])
def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError,
        match=r"no session store here .* create one with listening-loop ingest",
    ):
        open_store(tmp_path / name)


OTHERS = (SCHEMA - 1, SCHEMA + 1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        f'{{"schema": {SCHEMA}}}',
        '{"schema": "1"}',
        "\x00",
        *OTHERS,
    ],
)
def test_a_store_that_is_damaged_or_of_another_format_is_said_to_be(
    tmp_path: Path, content: str | int
) -> None:
    write_store(tmp_path)
    message = r"manifest\.json: damaged"
    if isinstance(content, int):
        age = "a newer version" if content > SCHEMA else "0.4 or earlier"
        message = rf"manifest\.json: format {content} is of {age}, "
        content = f'{{"schema": {content}, "shards": []}}'
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path)


@pytest.mark.parametrize("damage", [os.unlink, lambda part: os.truncate(part, 3)])
def test_a_missing_or_cut_part_is_named(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_store(tmp_path)
    store = open_store(tmp_path)
    damage(tmp_path / PART)
    with pytest.raises(StoreError, match=r"part-a\.parquet: .*ingest the sources anew"):
        check_files(tmp_path, store.manifest.parts)
