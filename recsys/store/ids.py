"""Map ids of your own to numbers, and back.

Whole numbers stand for themselves; the number of a text id follows from the text. The store keeps
the texts, so that exports carry the ids that came in.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.field_types import IdKinds
from analysis.plays.query import PlaysQuery
from analysis.store import IdsOf, Store, number_of
from looplib.arrays import IntArray
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError, StoreError
from recsys.store.reader import download_files

Ids = npt.NDArray[np.generic]  # numbers or texts, as they came in
_LONGEST = 2**32  # most bytes of a catalogue
_KINDS: tuple[IdsOf, IdsOf] = ("users", "items")  # the order of `IdKinds`


class Title(msgspec.Struct, frozen=True):
    """Title and artist of a track, empty where unknown."""

    track: int | str
    title: str = ""
    artist: str = ""

    def __str__(self) -> str:
        """Return both, or the id."""
        return ", ".join(filter(None, (self.title or str(self.track), self.artist)))


class _TitleRow(msgspec.Struct):
    """A line of a catalogue; a title such as 1999 and the id of an artist may be numbers."""

    track: int | str
    title: str | int | float | None = None
    artist: str | int | None = None


def decide_kinds(groups: Iterable[Mapping[str, Any]], query: str) -> IdKinds:
    """Decide which ids are text by the rows of a store's first ingest.

    The types of a query decide; without types (CSV), ids are whole numbers if all look so.

    Args:
        groups: Rows of `sql/interactions/id_kinds.sql`.
        query: The name of the query.

    Raises:
        IngestError: By their types, some ids are numbers and some are text, or shares are
            percentages.
    """
    rows = [*groups]
    shares, beyond = (sum(row[name] for row in rows) for name in ("shares", "beyond"))
    if 2 * beyond > shares:
        largest = max(row["largest"] or 0 for row in rows)
        raise IngestError(
            f"{query}: {beyond:,} of {shares:,} shares are above 1, up to {largest:g}; "
            "if they are percentages, write … / 100 AS share"
        )
    is_text = []
    for of, column in (("listeners", "user_kind"), ("tracks", "track_kind")):
        lines: Counter[str] = Counter()
        for row in rows:
            lines[row[column]] += row["good"]
        numbers = lines["number"]
        if numbers and lines["text"]:
            raise IngestError(
                f"mixed {of}: {numbers:,} rows have a number "
                f"and {lines['text']:,} have text; "
                "one or the other is expected: write all of them as text"
            )
        is_text.append(not numbers and lines["text"] + lines["characters"] > 0)
    return IdKinds(*is_text)


def write_ids(
    connection: queries.Connection,
    kinds: IdKinds,
    store: Store,
    scratch: Path,
) -> dict[IdsOf, Path]:
    """Write the text ids of the table `verified` to files in `scratch`.

    Returns:
        The new files of users and of items, if they are text.

    Raises:
        IngestError: Two texts, in these files or in the store's, have the same number.
    """
    written: dict[IdsOf, Path] = {}
    for of, is_text in zip(_KINDS, kinds, strict=True):
        if not is_text:
            continue
        written[of] = file = scratch / f"{of}.parquet"
        queries.copy_to_parquet(
            connection, "interactions/text_ids", file, users=of == "users"
        )
        queries.attach_parquet(connection, "ids", [file, *_id_files(store, of)])
        repeated = queries.fetch_table(connection, "interactions/repeated_numbers")
        for row in repeated.to_pylist():
            raise IngestError(
                f"{of} {row['first']!r} and {row['second']!r} have the same number "
                f"{row['id']}; rename one"
            )
    return written


def originals(
    store: Store,
    of: IdsOf,
    numbers: IntArray,
    named: Iterable[str] = (),
) -> Ids:
    """Look up original ids, shape (n,): the numbers, or the texts that they stand for.

    Args:
        store: The store, which has the texts.
        of: Whose ids.
        numbers: Numbers that stand for the ids, shape (n,).
        named: More texts, such as the ids of a catalogue.

    Raises:
        StoreError: A number stands for nothing.
    """
    table = _read_ids(store, of)
    if table is None:
        return numbers
    ids = table["id"].to_pylist()
    texts = table["original"].to_pylist()
    text_of = {
        id_: text for id_, text in zip(ids, texts, strict=True) if text is not None
    }
    text_of |= {number_of(text): text for text in named}
    try:
        return np.array([text_of[number] for number in numbers.tolist()], dtype=np.str_)
    except KeyError:
        raise StoreError(
            f"{store}: some {of} are not in its id files; restore them"
        ) from None


def read_catalogue(file: Path) -> bytes:
    """Read a catalogue as JSON lines, or as the rows of a query, `tracks.sql`.

    Raises:
        StoreError: It cannot be read.
        AnalysisError: The query fails.
    """
    if file.suffix != ".sql":
        return read_untrusted(file, _LONGEST, error=StoreError)
    with tempfile.TemporaryDirectory() as folder:
        (rows,) = PlaysQuery.read(file).run(Path(folder)).files(Path(folder))
        return encode_rows(pq.read_table(rows.path))


def encode_rows(table: pa.Table) -> bytes:
    """Encode the rows of a table as JSON lines; a decimal becomes a float."""
    return b"\n".join(orjson.dumps(row, default=float) for row in table.to_pylist())


def read_titles(file: Path | None, store: Store) -> dict[str, Title]:
    """Read the titles of a catalogue, or else of the store, by track id as text.

    A catalogue must be the store's.

    Raises:
        StoreError: The catalogue is of other tracks, or cannot be read.
    """
    if file is None:
        return _read_stored_titles(store)
    content = read_catalogue(file)
    catalogue = store.manifest.catalogue
    digest = hashlib.sha256(content).hexdigest()
    if catalogue and digest != catalogue.sha256:
        raise StoreError(
            f"{file}: not the catalogue of {store}: {catalogue}, "
            f"and this has {digest[:12]}"
        )
    titles = {}
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            if line.strip():
                row = msgspec.json.decode(line, type=_TitleRow)
                title, artist = (
                    "" if value is None else str(value)
                    for value in (row.title, row.artist)
                )
                titles[str(row.track)] = Title(row.track, title, artist)
        # also text that is not UTF-8, or nested too deeply
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            example = '{"track": …, "artist": …, "title": …}'
            raise StoreError(
                f"{file}, line {number}: not {example} ({error})"
            ) from None
    return titles


def _read_stored_titles(store: Store) -> dict[str, Title]:
    table = _read_ids(store, "titles")
    if table is None:
        return {}
    smallest = [("title", "min"), ("artist", "min")]
    table = table.group_by("id").aggregate(smallest).sort_by("id")
    tracks = originals(store, "items", table["id"].to_numpy()).tolist()
    titles = table["title_min"].to_pylist()
    artists = table["artist_min"].to_pylist()
    return {
        str(track): Title(track, title or "", artist or "")
        for track, title, artist in zip(tracks, titles, artists, strict=True)
    }


def _read_ids(store: Store, of: IdsOf) -> pa.Table | None:
    files = _id_files(store, of)
    tables = [pq.read_table(file, partitioning=None) for file in files]
    # DuckDB writes a column as NOT NULL if it can tell that no value is
    return pa.concat_tables(tables, promote_options="default") if tables else None


def _id_files(store: Store, of: IdsOf) -> list[Path]:
    files = (file for file in store.manifest.id_files if file.of == of)
    return download_files(store.address, files)
