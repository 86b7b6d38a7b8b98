"""Read session stores: immutable listening events, or interactions, in Parquet.

All rows of a user are in one bucket.

A store is a folder::

    manifest.json                   the only truth: what is not named in it does not exist
    bucket=000/part-….parquet       events of some users, one file an ingest, by user, time,
                                    next before last, track
    rejects/<digest>.jsonl          the lines of a source that were not events, and why
    ids/users-….parquet             the text ids that numbers in the parts stand for
                                    (id, original); items-… of items
    ids/titles-….parquet            what tracks are called (id, title, artist)

Sessions are derived, not stored. Parts of interactions have the columns user, timestamp, track,
time (the weight), session, and source (the digest of their file). `recsys.store` writes stores.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import xxhash
from msgspec import UNSET, UnsetType

from analysis.errors import StoreError
from analysis.logs.lines import LineCounts
from looplib.checksums import unseal
from looplib.untrusted import open_untrusted

MANIFEST = "manifest.json"
REJECTS = "rejects"
SCHEMA = 3  # 1 had no interactions, 2 no plays and titles
LOGGED = ("user", "item", "timestamp", "share", "recommendation")
IdsOf = Literal["users", "items", "titles"]
_REMEDY = (
    "restore it, or ingest the sources anew: listening-loop ingest LOG… --store NEW"
)


@dataclass(frozen=True)
class Catalogue:
    """The tracks that a store's ids refer to."""

    sha256: str
    tracks: int
    own_ids: bool = False  # else ids are 0..tracks-1

    def __str__(self) -> str:
        """Short enough for an error message."""
        return f"{self.tracks:,} tracks, sha256 {self.sha256[:12]}"


@dataclass(frozen=True)
class Source:
    """A file that the store holds, or a piece of a log that grew.

    `digest` is the xxh3_128 of its bytes.
    """

    name: str
    digest: str
    bytes: int
    lines: LineCounts
    start: int = 0  # its first byte in the file

    @property
    def rejects(self) -> str:
        """Name of the file of its rejected lines, relative to the store."""
        return f"{REJECTS}/{self.digest}.jsonl"


@dataclass(frozen=True, order=True)
class Part:
    """A Parquet file of one bucket; `path` is relative to the store."""

    path: str
    bucket: int
    rows: int
    bytes: int
    sha256: str | UnsetType = UNSET


@dataclass(frozen=True, order=True)
class IdFile:
    """A Parquet file of text ids and the numbers that stand for them, or of titles."""

    path: str
    of: IdsOf
    rows: int
    bytes: int
    sha256: str | UnsetType = UNSET


@dataclass(frozen=True)
class Interactions:
    """What a store of interactions, or of plays, holds.

    Ids that are whole numbers stand in the parts as they are.
    """

    # "user", "item", and of `analysis.tables.columns.Columns.stored` those that it has; of event
    # logs `LOGGED`
    columns: tuple[str, ...]
    text_users: bool
    text_items: bool
    id_files: tuple[IdFile, ...] = ()  # sorted by path; an id may be in several


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`."""

    schema: int
    buckets: int  # how many; fixed when the store is created
    digest: str  # of the content: the same for the same set of sources, in whatever order they came
    catalogue: Catalogue | None = None  # None while no source named one
    events: int = 0  # rows in all parts
    sources: tuple[Source, ...] = ()  # the files read, sorted by digest
    parts: tuple[Part, ...] = ()  # sorted by path
    interactions: Interactions | None = None  # None in a store of events
    # of events that were the rows of a table; of event logs only with text ids
    plays: Interactions | None = None

    @property
    def table(self) -> Interactions | None:
        """What is known of the tables that were ingested, or of event logs with text ids."""
        return self.interactions or self.plays

    @property
    def has_tables(self) -> bool:
        """Whether tables were ingested, and not event logs."""
        return self.table is not None and self.table.columns != LOGGED

    @property
    def id_files(self) -> tuple[IdFile, ...]:
        """The files of text ids and of titles."""
        return self.table.id_files if self.table else ()


@dataclass(frozen=True)
class Store:
    """A store's folder, and what it held when opened; a later ingest does not rewrite a part."""

    path: Path
    manifest: Manifest

    @property
    def catalogue_size(self) -> int | None:
        """Number of tracks of the catalogue; None without one whose ids are 0..n-1."""
        catalogue = self.manifest.catalogue
        return catalogue.tracks if catalogue and not catalogue.own_ids else None

    @property
    def bytes(self) -> int:
        """Size of all parts."""
        return sum(part.bytes for part in self.manifest.parts)

    def files(self, stored: Iterable[Part | IdFile]) -> list[Path]:
        """Return the paths of files that the manifest names, their digests checked."""
        return check_digests({self.path / file.path: file for file in stored})

    def bucket_files(self, bucket: int) -> list[Path]:
        """Return the Parquet files of a bucket, in a fixed order; none if no user falls into it."""
        return self.files(part for part in self.manifest.parts if part.bucket == bucket)


def open_store(folder: Path) -> Store:
    """Open the store of a folder.

    Raises:
        StoreError: There is no store, or its manifest is damaged or of a newer version.
    """
    file = folder / MANIFEST
    content = file.read_bytes() if file.is_file() else None
    return Store(folder, decode_manifest(content, str(folder)))


def decode_manifest(content: bytes | None, store: str) -> Manifest:
    """Decode the manifest of a store.

    Raises:
        StoreError: It has none, or a damaged or newer one.
    """
    if content is None:
        missing = (
            f"no session store here ({MANIFEST} is missing); "
            "create one with listening-loop ingest"
        )
        raise StoreError(f"{store}: {missing}")
    file = f"{store}/{MANIFEST}"
    try:
        document = unseal(content)
        if isinstance(schema := document.get("schema"), int) and schema > SCHEMA:
            raise StoreError(
                f"{file}: schema {schema} is newer than this program's {SCHEMA}; upgrade to read it"
            )
        manifest = msgspec.convert(document, Manifest)
        if manifest.digest != content_digest(
            source.digest for source in manifest.sources
        ):
            raise ValueError("the digest is not that of the sources")
        return manifest
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{file}: damaged ({error}); restore it, or ingest the logs into a new store"
        ) from None


def check_digests(files: Mapping[Path, Part | IdFile]) -> list[Path]:
    """Return files of a store.

    Raises:
        StoreError: One is missing, cut or damaged.
    """
    for file, stored in files.items():
        try:
            digest = stored.sha256 or None
            open_untrusted(file, stored.bytes, sha256=digest, error=StoreError).close()
        except StoreError as error:
            raise StoreError(f"{error}; {_REMEDY}") from None
    return list(files)


def number_of(text: str) -> int:
    """Return the number that stands for a text id (`sql/interactions/text_ids.sql`)."""
    return (
        int.from_bytes(
            hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little"
        )
        >> 1
    )


def content_digest(source_digests: Iterable[str]) -> str:
    """Return a store's digest: xxh3_128 of its sources' digests, sorted, in hex."""
    return str(
        xxhash.xxh3_128_hexdigest("\n".join(sorted(set(source_digests))).encode())
    )
