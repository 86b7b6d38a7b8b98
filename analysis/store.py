"""Read session stores: folders of immutable plays in Parquet.

A store is split into partitions; all plays of a listener are in the same partition. Its folder::

    manifest.json                   lists all files; files that it does not name are ignored
    partition=000/part-….parquet    plays of some listeners, one file for each ingest, sorted by
                                    listener, time and track
    rejects/<digest>.jsonl          lines of a source that are not plays, with the reason
    ids/users-….parquet             text ids of listeners and the numbers that stand for them
                                    (id, original); items-… for tracks
    ids/titles-….parquet            titles and artists of tracks (id, title, artist)

Sessions are derived from plays when they are needed, not stored. `recsys.store` writes stores.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from analysis import queries
from analysis.errors import StoreError
from analysis.logs.lines import LineCounts
from looplib.checksums import check_format, unseal
from looplib.files import json_digest
from looplib.untrusted import open_untrusted

MANIFEST = "manifest.json"
REJECTS = "rejects"
SCHEMA = 4
LOGGED = ("user", "item", "timestamp", "share", "recommendation")
# A play, whatever it came from: types of its columns. A part has the columns that its source knows;
# parts of event logs also have the other fields of an event.
PLAY = {
    "user": "BIGINT",
    "timestamp": "BIGINT",  # ms since the epoch, UTC, or the position
    "track": "BIGINT",
    "amount": "DOUBLE",  # seconds, another weight, or 1; if it is unknown, the share counts
    "share": "DOUBLE",  # heard share of the track, 0..1
    "session": "VARCHAR",
    "organic": "BOOLEAN",  # the listener chose the track
    "disliked": "BOOLEAN",  # the listener said so
    "propensity": "DOUBLE",  # probability with which the track was recommended
    "source": "VARCHAR",  # digest of the table that has the play
    "message": "VARCHAR",  # kind of an event
}
# Fields of events by the columns that have them, if the names differ. The propensity of an event is
# the probability of its recommendation, so of the next play.
EVENT_COLUMNS = {"share": "time", "next_propensity": "propensity"}
IdsOf = Literal["users", "items", "titles"]
_REMEDY = (
    "restore it, or ingest the sources anew: listening-loop ingest LOG… --store NEW"
)


@dataclass(frozen=True)
class CatalogueSummary:
    """The catalogue of tracks to which a store's track ids refer."""

    sha256: str
    tracks: int
    own_ids: bool = False  # else ids are 0..tracks-1

    def __str__(self) -> str:
        """Describe the catalogue in an error message."""
        return f"{self.tracks:,} tracks, sha256 {self.sha256[:12]}"


@dataclass(frozen=True)
class Source:
    """A stretch of a file in a store: the whole file, or the new end of a grown file.

    Packed files are hashed unpacked. `digest` is the SHA-256 of the bytes and of the query that
    read them.
    """

    name: str
    digest: str
    bytes: int
    lines: LineCounts
    start: int = 0  # its first byte in the file
    head: str = ""  # digest of its first line
    sample: tuple[
        int, ...
    ] = ()  # hashes of some events, by which another log is recognised
    content: str = ""  # digest of the bytes alone, of plays that a query has read
    reading: str = ""  # digest of the query

    @property
    def rejects(self) -> str:
        """Name of the file with the source's rejected lines, relative to the store."""
        return f"{REJECTS}/{self.digest}.jsonl"


@dataclass(frozen=True, order=True)
class StoreFile:
    """A Parquet file of a store: plays of one partition, text ids with their numbers, or titles."""

    path: str  # relative to the store
    of: int | IdsOf  # number of the partition
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of a store's `manifest.json`.

    Ids that are whole numbers are stored unchanged; text ids are replaced by numbers.
    """

    schema: int
    partitions: int  # number; fixed when the store is created
    digest: str  # the same for the same set of sources, in any order
    # known columns of the plays: `LOGGED`, or as `analysis.plays.columns.stored_columns` says
    columns: tuple[str, ...] = LOGGED
    text_users: bool = False
    text_items: bool = False
    catalogue: CatalogueSummary | None = None  # None if no source named a catalogue
    events: int = 0  # rows in all parts
    queries: tuple[str, ...] = ()  # the SQL by which plays were read, in order
    sources: tuple[Source, ...] = ()  # the files read, sorted by digest
    parts: tuple[StoreFile, ...] = ()  # sorted by path
    id_files: tuple[StoreFile, ...] = ()  # sorted by path; an id may be in several

    @property
    def is_logged(self) -> bool:
        """True if the plays come from event logs of a service, which record requests and arms."""
        return self.columns == LOGGED

    @property
    def catalogue_size(self) -> int | None:
        """Number of tracks of a catalogue whose ids are 0..n-1; None without such a catalogue."""
        catalogue = self.catalogue
        return catalogue.tracks if catalogue and not catalogue.own_ids else None


@dataclass(frozen=True, repr=False)
class Store:
    """A session store as it was when it was opened.

    A later ingest adds files and never rewrites existing ones, so an open store stays readable.

    >>> Store("out/store", Path("out/store"), Manifest(SCHEMA, partitions=8, digest=""))
    <Store out/store: 0 plays of 0 sources, 0.0 MB>
    """

    address: str  # a path, or an address such as s3://…
    # its folder on this machine; files of a remote store are downloaded to it
    path: Path
    manifest: Manifest

    def __str__(self) -> str:
        """Return the address of the store, for messages."""
        return self.address

    def __repr__(self) -> str:
        """Describe the store's content in one line."""
        manifest = self.manifest
        size_mb = sum(part.bytes for part in manifest.parts) / 1e6
        return (
            f"<Store {self}: {manifest.events:,} plays of "
            f"{len(manifest.sources):,} sources, {size_mb:,.1f} MB>"
        )

    def sql(self, query: str) -> queries.Rows:
        """Query the views of the store, such as `plays` and `tracks`, in SQL; see docs/sql.md.

        The files of a remote store must be on this machine; `listening-loop sql` downloads them.

        Returns:
            A DuckDB relation, which runs when it is read with `.df()`, `.pl()` or
            `.to_arrow_table()`.

        Raises:
            AnalysisError: The query is invalid or does more than read, or a file is damaged.
        """
        from analysis.views import open_views  # `analysis.views` imports this module

        return queries.ask(open_views([self.path]), query)


def open_store(folder: Path) -> Store:
    """Open the session store in a folder.

    Raises:
        StoreError: The folder has no store, or its manifest is damaged or of another version.
    """
    file = folder / MANIFEST
    content = file.read_bytes() if file.is_file() else None
    return Store(str(folder), folder, decode_manifest(content, str(folder)))


def decode_manifest(content: bytes | None, store: str) -> Manifest:
    """Decode the manifest of a store.

    Raises:
        StoreError: The manifest is missing, damaged or of another version.
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
        check_format(document, SCHEMA, file, "ingest into a new store", StoreError)
        return msgspec.convert(document, Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{file}: damaged ({error}); restore it, or ingest the logs into a new store"
        ) from None


def check_files(
    folder: Path,
    files: Iterable[StoreFile],
) -> list[Path]:
    """Verify the SHA-256 digests of some files of a store.

    Returns:
        The paths of the files.

    Raises:
        StoreError: A file is missing, truncated or damaged.
    """
    paths = []
    for file in files:
        path = folder / file.path
        try:
            digest = file.sha256
            open_untrusted(path, file.bytes, sha256=digest, error=StoreError).close()
        except StoreError as error:
            raise StoreError(f"{error}; {_REMEDY}") from None
        paths.append(path)
    return paths


def number_of(text: str) -> int:
    """Compute the 63-bit number that stands for a text id, as `sql/interactions/text_ids.sql` does.

    >>> number_of("ann")
    6429283252768367742
    """
    return (
        int.from_bytes(
            hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little"
        )
        >> 1
    )


def content_digest(source_digests: Iterable[str]) -> str:
    """Compute the digest of a store: the SHA-256 of the sorted digests of its sources."""
    return json_digest(sorted(set(source_digests)))
