"""Read the plays of a query, every row checked but for the kind of its ids.

`check_files` runs the query for files and writes its rows to a Parquet file. Small files are read
together, as `in_batches` puts them, since a statement of DuckDB takes as long as a thousand rows.
Whether ids are numbers or text depends on all files of an ingest together, and is decided later.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.logs.sources import in_batches
from analysis.plays.columns import AMOUNTS, COLUMNS, check_columns, stored_columns
from analysis.plays.files import decoded
from analysis.plays.query import PlaysQuery, as_text, bind, explained

# DuckDB may use so much, and spills the rest to the disk: enough for a laptop beside other work
MEMORY = "1GB"
# A line of a CSV file that is no row: its number, the reason, and its text.
Malformed = tuple[int, str, str]


@dataclass(frozen=True)
class Checked:
    """Some files of a query, whose rows are in a Parquet file."""

    columns: tuple[str, ...]  # of the query
    malformed: Mapping[str, list[Malformed]]  # by the digest of their file
    rows: int
    left_out: int  # rows for which the condition does not hold


def attach_checked(
    connection: queries.Connection,
    query: PlaysQuery,
    folder: Path,
    limit: int | None = None,
) -> list[Checked]:
    """Make the rows of a query, at most the first `limit`, readable as the table `checked`.

    They are written to Parquet files in the folder. `check_files` describes the errors.
    """
    query = query if query.reader else query.run(folder)
    parts: list[Checked] = []
    for batch in in_batches(query.files(folder)):
        target = folder / f"{len(parts):06}.parquet"
        named = {file.name: file for file in batch}
        parts.append(check_files(named, query, target, limit))
        if limit is not None:
            limit -= parts[-1].rows + parts[-1].left_out
            if limit <= 0:
                break
    queries.attach_parquet(connection, "checked", sorted(folder.glob("0*.parquet")))
    return parts


def check_files(
    files: Mapping[str, LogFile],
    query: PlaysQuery,
    target: Path,
    limit: int | None = None,
) -> Checked:
    """Run a query for some of its files, and write its rows, checked, to a Parquet file.

    `sql/interactions/checked_rows.sql` has the columns. Beyond `MEMORY`, DuckDB spills beside the
    target.

    Args:
        files: The files by their digests.
        query: The query.
        target: The Parquet file.
        limit: Number of rows to read, the first.

    Raises:
        AnalysisError: The query fails or returns other columns, or a file is damaged.
    """
    try:
        return _check_files(files, query, target, limit)
    except queries.DatabaseError as error:
        is_machine = isinstance(error, (queries.OutOfMemory, queries.DiskError))
        if is_machine and "GZIP" not in str(error):
            raise
        if len(files) > 1:  # a single file is to blame
            for source, file in files.items():
                check_files({source: file}, query, target, limit)
        names = [query.name, *(file.name for file in files.values())]
        with explained(" on ".join(dict.fromkeys(names[:2]))):
            raise


def _check_files(
    files: Mapping[str, LogFile],
    query: PlaysQuery,
    target: Path,
    limit: int | None,
) -> Checked:
    """Read files in one statement."""
    # each thread has buffers of twice that size
    threads = {"threads": "1"} if "maximum_object_size" in query.sql else {}
    spilled = target.parent / "spilled"
    connected = queries.connect(memory_limit=MEMORY, temp_directory=spilled, **threads)
    malformed: dict[str, list[Malformed]] = defaultdict(list)
    with ExitStack() as stack, connected as connection:
        paths = {
            source: stack.enter_context(
                decoded(file, query.option("encoding"), target.parent)
            ).path
            for source, file in files.items()
        }
        (names, rows), *further = (
            _attach(connection, query, source, path) for source, path in paths.items()
        )
        for columns, more in further:
            if columns != names:
                raise AnalysisError(
                    f"{query.name}: it returns {', '.join(names)} for some files, and "
                    f"{', '.join(columns)} for others; name the columns"
                )
            rows = rows.union(more)
        rows = rows.limit(limit) if limit else rows
        rows.create_view("returned", replace=True)
        written = queries.copy_to_parquet(
            connection,
            "interactions/checked_rows",
            target,
            amount=next((name for name in AMOUNTS if name in names), None),
            known=[*names],
            meanings=[COLUMNS[name].meaning for name in names],
            has_order="position" in stored_columns(names),
        )
        if query.keeps_rejects:
            source_of = {str(path): source for source, path in paths.items()}
            lines = queries.fetch_table(connection, "interactions/malformed_rows")
            for path, *line in zip(*lines.to_pydict().values(), strict=True):
                malformed[source_of[path]].append(tuple(line))
        left_out = 0
        if sql := query.left_out([*paths.values()]):
            ((left_out,),) = connection.sql(sql).aggregate("count(*)").fetchall()
    return Checked(names, malformed, written, left_out)


def _attach(
    connection: queries.Connection, query: PlaysQuery, source: str, path: Path
) -> tuple[tuple[str, ...], queries.Rows]:
    """Bind a query for one file.

    Returns:
        The names of the query's columns, and its rows with all columns of `checked_rows.sql`.

    Raises:
        AnalysisError: It cannot be bound, or returns other columns.
    """
    with explained(query.name, *queries.StatementErrors):
        rows = bind(connection, query.text_for([path]))
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    check_columns(types, query.name)
    values: dict[str, queries.Expression] = {
        "source": queries.Constant(source),
        "row": queries.Sql("row_number() OVER ()"),
    }
    for name, column in COLUMNS.items():
        kind = types.get(name, "")
        value = queries.Column(name) if kind else queries.Constant(None)
        is_json = kind == "JSON"
        if column.kind == "id":
            if kind == "VARCHAR" and (query.is_csv or query.is_untyped):
                kind = "untyped"
            json_type = queries.Function("json_type", value)
            values[f"{name}_kind"] = json_type if is_json else queries.Constant(kind)
        is_text = is_json or column.kind == "id"
        values[name] = as_text(value, kind) if is_text else value
    amount = next((name for name in AMOUNTS if name in types), None)
    values["amount"] = values[amount] if amount else queries.Constant(1.0)
    return tuple(types), rows.select(
        *(v.alias(n) for n, v in values.items() if n not in AMOUNTS)
    )
