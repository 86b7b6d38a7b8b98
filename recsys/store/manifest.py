"""The session store: immutable listening events, or interactions, in Parquet, everything of a user in one bucket.

A store is a folder::

    manifest.json                   the only truth: what is not named in it does not exist
    bucket=000/part-….parquet       events of the users whose `bucket_of` is 0, one file an ingest run
    bucket=001/…
    rejects/<digest>.jsonl          the lines of a source that were not events, and why
    ids/users-….parquet             the text ids that numbers in the parts stand for (id, original), likewise items-…

Rows of a part are sorted by user, timestamp, `next` before `last`, track. Sessions are derived, not stored. A store
holds events or interactions, not both; the parts of interactions have the columns user, timestamp, track, time (the
weight), session, and source (the digest of their file).
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import xxhash
from msgspec import UNSET, UnsetType

from analysis.logs.reader import LineCounts
from looplib.files import atomic_write
from recsys.errors import StoreError
from recsys.workspace import Workspace, open_workspace

MANIFEST = "manifest.json"
SCHEMA = 2  # 1 had no interactions
_MASK = 2**32 - 1
IdsOf = Literal["users", "items"]


@dataclass(frozen=True)
class Catalogue:
    """The tracks that a store's ids refer to: the digest of the catalogue file, and ids 0..tracks-1."""

    sha256: str
    tracks: int

    def __str__(self) -> str:
        """Short enough for an error message."""
        return f"{self.tracks:,} tracks, sha256 {self.sha256[:12]}"


@dataclass(frozen=True)
class Source:
    """An event log that the store holds; `digest` is the xxh3_128 of the file's bytes."""

    name: str
    digest: str
    bytes: int
    lines: LineCounts


@dataclass(frozen=True)
class Part:
    """A Parquet file of one bucket; `path` is relative to the store."""

    path: str
    bucket: int
    rows: int
    bytes: int
    sha256: str | UnsetType = UNSET


@dataclass(frozen=True)
class IdFile:
    """A Parquet file of text ids of users or items, and the numbers that stand for them (id, original)."""

    path: str
    of: IdsOf
    rows: int
    bytes: int
    sha256: str | UnsetType = UNSET


@dataclass(frozen=True)
class Interactions:
    """What a store of interactions holds.

    Attributes:
        columns: What each of them has: "user", "item", and of "weight", "timestamp", "session" those that it has.
        text_users: Users are text; else whole numbers, which stand in the parts as they are.
        text_items: Likewise of the items.
        id_files: The text ids, sorted by path; an id may be in several.
    """

    columns: tuple[str, ...]
    text_users: bool
    text_items: bool
    id_files: tuple[IdFile, ...]


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        schema: Version of the store's layout.
        buckets: Number of buckets; fixed when the store is created.
        digest: Digest of the content: the same for the same set of sources, however and whenever they came.
        catalogue: The world that the track ids refer to; None while no source named one.
        events: Number of rows in all parts.
        first_timestamp: Earliest event, ms since the epoch; None in an empty store.
        last_timestamp: Latest event, likewise.
        sources: The logs, sorted by digest.
        parts: The files, sorted by path.
        interactions: What a store of interactions holds; None in a store of events.
    """

    schema: int
    buckets: int
    digest: str
    catalogue: Catalogue | None
    events: int
    first_timestamp: int | None
    last_timestamp: int | None
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    interactions: Interactions | None = None


@dataclass(frozen=True)
class Store:
    """A store as it was when opened; a later ingest does not change it, as parts are never rewritten."""

    workspace: Workspace
    manifest: Manifest

    @property
    def path(self) -> Path:
        """The store's folder on this machine."""
        return self.workspace.folder

    @property
    def buckets(self) -> int:
        """Number of buckets."""
        return self.manifest.buckets

    @property
    def catalogue(self) -> Catalogue | None:
        """The world that the track ids refer to, where a source named one."""
        return self.manifest.catalogue

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return self.manifest.digest

    @property
    def events(self) -> int:
        """Number of events."""
        return self.manifest.events

    @property
    def interactions(self) -> Interactions | None:
        """What a store of interactions holds; None in a store of events."""
        return self.manifest.interactions

    def id_files(self, of: IdsOf) -> list[Path]:
        """The Parquet files with the text ids of users or items; empty where ids are whole numbers."""
        files = self.interactions.id_files if self.interactions else ()
        return download_stored(self.workspace, (file for file in files if file.of == of))

    @property
    def bytes(self) -> int:
        """Size of all parts."""
        return sum(part.bytes for part in self.manifest.parts)

    def bucket_parts(self, bucket: int) -> list[Part]:
        """Return the parts of a bucket, in a fixed order; none if no user falls into it.

        Raises:
            ValueError: No such bucket.
        """
        if not 0 <= bucket < self.buckets:
            raise ValueError(f"bucket {bucket} is not in 0..{self.buckets - 1}")
        return [part for part in self.manifest.parts if part.bucket == bucket]

    def bucket_files(self, bucket: int) -> list[Path]:
        """Return the Parquet files of a bucket, downloaded."""
        return download_stored(self.workspace, self.bucket_parts(bucket))


def open_store(address: str | Path) -> Store:
    """Open a store for reading.

    Args:
        address: Its path or address.

    Raises:
        StoreError: There is no store, its manifest is damaged or of a newer version, or a part is missing or cut.
    """
    workspace = open_workspace(address)
    manifest = read_manifest(workspace)
    if manifest is None:
        raise StoreError(
            f"{workspace}: no session store here ({MANIFEST} is missing); create one with python -m recsys.ingest"
        )
    found = workspace.sizes()
    for stored in stored_files(manifest):
        _check_size(f"{workspace}/{stored.path}", stored.bytes, found.get(stored.path))
    return Store(workspace, manifest)


def stored_files(manifest: Manifest) -> tuple[Part | IdFile, ...]:
    """All files that a manifest names."""
    return (*manifest.parts, *(manifest.interactions.id_files if manifest.interactions else ()))


def download_stored(workspace: Workspace, files: Iterable[Part | IdFile]) -> list[Path]:
    """Return files of a store, downloaded and their digests checked where the store is at an address.

    Raises:
        StorageError: Its server does not answer or refuses, or a file has another digest.
    """
    return [workspace.cached(file.path, file.sha256 or "") for file in files]


def read_manifest(workspace: Workspace) -> Manifest | None:
    """Read a store's manifest, or None where there is no store yet.

    Raises:
        StoreError: The manifest is damaged or of a newer version.
    """
    file = f"{workspace}/{MANIFEST}"
    content = workspace.read(MANIFEST)
    if content is None:
        return None
    try:
        schema = msgspec.json.decode(content, type=_Version).schema
        if schema > SCHEMA:
            raise StoreError(f"{file}: schema {schema} is newer than this program's {SCHEMA}; upgrade to read it")
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise StoreError(f"{file}: damaged ({error}); restore it, or ingest the logs into a new store") from None


def write_manifest(workspace: Workspace, manifest: Manifest) -> None:
    """Replace a store's manifest, whole or not at all."""
    with atomic_write(workspace.folder / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    workspace.upload(MANIFEST)


def extend_manifest(before: Manifest, *, sources: Iterable[Source], parts: Iterable[Part]) -> Manifest:
    """The manifest with more sources and parts; its digest and number of events follow from them."""
    all_sources = tuple(sorted((*before.sources, *sources), key=lambda source: source.digest))
    all_parts = tuple(sorted((*before.parts, *parts), key=lambda part: part.path))
    return dataclasses.replace(
        before,
        digest=content_digest(source.digest for source in all_sources),
        events=sum(part.rows for part in all_parts),
        sources=all_sources,
        parts=all_parts,
    )


def content_digest(source_digests: Iterable[str]) -> str:
    """The digest of a store that holds these sources: xxh3_128 over the sorted set of their digests, in hex."""
    return str(xxhash.xxh3_128_hexdigest("\n".join(sorted(set(source_digests))).encode()))


def bucket_of(user: int, buckets: int) -> int:
    """The bucket of a user: the id folded into 32 bits, mixed, and scaled to the number of buckets.

    The same function stands in `analysis/sql/events/bucketed_events.sql`; both are part of the store's schema.
    """
    mixed = (user ^ (user >> 32)) & _MASK
    mixed = (mixed * 1640531527) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1597334677) & _MASK
    return (mixed * buckets) >> 32


@dataclass(frozen=True)
class _Version:
    schema: int


def _check_size(file: str, expected: int, size: int | None) -> None:
    if size is None:
        raise StoreError(f"{file}: the manifest names this part, and it is missing; restore it")
    if size != expected:
        raise StoreError(f"{file}: the manifest says {expected:,} bytes, found {size:,}; restore it")
