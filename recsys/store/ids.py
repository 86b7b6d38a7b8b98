"""Map ids of your own to numbers: whole numbers stand for themselves, text ids for numbers that follow from the text.

The store keeps what its numbers stand for, so that what is exported carries the ids that came in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.store import IdsOf, Interactions
from looplib.arrays import IntArray
from recsys.errors import IngestError, StoreError
from recsys.store.remote import Store

_NO_IDS = pa.table({"id": pa.array([], pa.int64()), "original": pa.array([], pa.string())})
_TABLES: dict[IdsOf, str] = {"users": "user_ids", "items": "track_ids"}


def decide_kinds(connection: queries.Connection, known: Interactions | None) -> dict[IdsOf, bool]:
    """Return whether users and items are text: as in the store, or by the rows of its first ingest.

    Those are in the table `checked`. Typed files say it; without types (CSV), ids are whole numbers if each is one.

    Raises:
        IngestError: By the files' own types, some ids are numbers and some are text.
    """
    if known:
        return {"users": known.text_users, "items": known.text_items}
    counts = queries.fetch_row(connection, "interactions/id_kinds")
    kinds: dict[IdsOf, bool] = {}
    for of in _TABLES:
        numbers, text = counts[f"{of}_whole_number"], counts[f"{of}_text"]
        if numbers and text:
            raise IngestError(
                f"mixed {of}: {numbers:,} rows have a number and {text:,} have text; one or the other is expected"
            )
        kinds[of] = not numbers and bool(text or counts[f"{of}_characters"])
    return kinds


def write_ids(
    connection: queries.Connection, is_text: Mapping[IdsOf, bool], known: Sequence[Path], scratch: Path
) -> dict[IdsOf, Path]:
    """Write the text ids of the table `verified` to files in `scratch`, and attach them as `user_ids` and `track_ids`.

    `known` are files of the ids that the store has.

    Returns:
        The files of users and of items, where they are text.

    Raises:
        IngestError: Two texts have the same number.
    """
    written: dict[IdsOf, Path] = {}
    for of, table in _TABLES.items():
        if not is_text[of]:
            queries.attach_arrow(connection, table, _NO_IDS)
            continue
        file = scratch / f"{of}.parquet"
        queries.copy_to_parquet(connection, "interactions/text_ids", file, users=of == "users")
        queries.attach_parquet(connection, "ids", [file, *(path for path in known if path.name.startswith(of))])
        same = queries.fetch_table(connection, "interactions/repeated_numbers").to_pylist()
        if same:
            raise IngestError(
                f"{of} {same[0]['first']!r} and {same[0]['second']!r} have the same number {same[0]['id']}; rename one"
            )
        queries.attach_parquet(connection, table, [file])
        written[of] = file
    return written


def originals(store: Store, of: IdsOf, numbers: IntArray) -> npt.NDArray[np.generic]:
    """Return the ids that came in, shape (n,): numbers of users or items themselves, or the texts they stand for.

    Raises:
        StoreError: A number stands for nothing.
    """
    facts = store.manifest.interactions
    files = store.files(file for file in facts.id_files if file.of == of) if facts else []
    if not files:
        return numbers
    table = pa.concat_tables([pq.read_table(file, partitioning=None) for file in files]).sort_by("id")
    known = table["id"].to_numpy()
    positions = np.minimum(known.searchsorted(numbers), len(known) - 1)
    if not np.array_equal(known[positions], numbers):
        raise StoreError(f"{store.workspace}: some {of} are not in its id files; restore them")
    texts: npt.NDArray[np.str_] = np.array(table["original"].to_pylist(), dtype=np.str_)[positions]
    return texts
