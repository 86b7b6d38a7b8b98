"""Ids of your own: whole numbers stand for themselves, text ids for numbers that follow from the text.

The store keeps what its numbers stand for, so that what is exported carries the ids that came in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis import queries
from looplib.arrays import IntArray
from recsys.errors import IngestError, StoreError
from recsys.store.manifest import IdFile, IdsOf, Interactions, Store

_NO_IDS = pa.table({"id": pa.array([], pa.int64()), "original": pa.array([], pa.string())})
_TABLES: dict[IdsOf, str] = {"users": "user_ids", "items": "track_ids"}


@dataclass(frozen=True)
class IdKinds:
    """Whether the ids of a store are text; else they are whole numbers."""

    text_users: bool
    text_items: bool

    def is_text(self, of: IdsOf) -> bool:
        """The one or the other."""
        return self.text_users if of == "users" else self.text_items


def decide_kinds(connection: queries.Connection, known: Interactions | None) -> IdKinds:
    """The kinds that a store has, or that follow from the rows of its first ingest, the table `checked`.

    Typed files say it; where no file has types (CSV), ids are whole numbers if each of them is one.

    Raises:
        IngestError: By the files' own types, some ids are numbers and some are text.
    """
    if known:
        return IdKinds(known.text_users, known.text_items)
    counts = queries.fetch_row(connection, "interactions/id_kinds")
    for of in ("users", "items"):
        numbers, text = counts[f"{of}_whole_number"], counts[f"{of}_text"]
        if numbers and text:
            raise IngestError(
                f"mixed {of}: {numbers:,} rows have a number and {text:,} have text; one or the other is expected"
            )
    return IdKinds(
        *(
            not counts[f"{of}_whole_number"] and bool(counts[f"{of}_text"] or counts[f"{of}_characters"])
            for of in ("users", "items")
        )
    )


def write_ids(
    connection: queries.Connection, kinds: IdKinds, known: Sequence[Path], scratch: Path
) -> list[tuple[Path, IdFile]]:
    """Writes the text ids of the table `judged` to a file each, and attaches them as `user_ids` and `track_ids`.

    Args:
        connection: With the table.
        kinds: Which ids are text.
        known: Files of the ids that the store has.
        scratch: Where the files go.

    Returns:
        The files, and what the manifest says of them but for their final path.

    Raises:
        IngestError: Two texts have the same number.
    """
    written = []
    for of in _TABLES:
        if not kinds.is_text(of):
            queries.attach_arrow(connection, _TABLES[of], _NO_IDS)
            continue
        file = scratch / f"{of}.parquet"
        rows = queries.copy_to_parquet(connection, "interactions/text_ids", file, users=of == "users")
        earlier = [path for path in known if path.name.startswith(of)]
        queries.attach_parquet(connection, "ids", [file, *earlier])
        _check_distinct(connection, of)
        queries.attach_parquet(connection, _TABLES[of], [file])
        written.append((file, IdFile(file.name, of, rows, file.stat().st_size)))
    return written


def _check_distinct(connection: queries.Connection, of: IdsOf) -> None:
    same = queries.fetch_table(connection, "interactions/repeated_numbers").to_pylist()
    if same:
        raise IngestError(
            f"{of} {same[0]['first']!r} and {same[0]['second']!r} have the same number {same[0]['id']}; rename one"
        )


def originals(store: Store, of: IdsOf, numbers: IntArray) -> npt.NDArray[np.generic]:
    """The ids that came in, for numbers of a store.

    Args:
        store: Whose numbers.
        of: Users or items.
        numbers: Shape (n,).

    Returns:
        The numbers themselves where ids are whole numbers, or else their texts; shape (n,).

    Raises:
        StoreError: A number stands for nothing.
    """
    files = store.id_files(of)
    if not files:
        return numbers
    with queries.connect() as connection:
        queries.attach_parquet(connection, "ids", files)
        table = queries.fetch_table(connection, "interactions/originals")
    known = table["id"].to_numpy()
    places = np.minimum(known.searchsorted(numbers), len(known) - 1)
    if not np.array_equal(known[places], numbers):
        raise StoreError(f"{store.workspace}: some {of} are not in its id files; restore them")
    texts: npt.NDArray[np.str_] = np.array(table["original"].to_pylist(), dtype=np.str_)[places]
    return texts
