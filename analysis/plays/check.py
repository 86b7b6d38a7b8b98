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
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs import sources
from analysis.logs.files import LogFile
from analysis.plays.columns import AMOUNTS, COLUMNS, check_columns, stored_columns
from analysis.plays.databases import copy_table
from analysis.plays.files import DATABASES, EMPTY, decoded
from analysis.plays.query import PlaysQuery, bind, explained

# DuckDB may use so much, and spills the rest to the disk: enough for a laptop beside other work
MEMORY = "1GB"
# A line of a CSV file that is no row: its number, the reason, and its text.
Malformed = tuple[int, str, str]


@dataclass(frozen=True)
class CheckedFile:
    """A file whose plays were read."""

    file: LogFile
    malformed: list[Malformed]  # lines that are no rows
    columns: tuple[str, ...]  # of the query
    rows: int = 0
    left_out: int = (
        0  # rows for which the condition does not hold, of the files read together
    )

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that a store of these plays has."""
        return stored_columns(self.columns)


def attach_checked(
    connection: queries.Connection,
    query: PlaysQuery,
    folder: Path,
    limit: int | None = None,
) -> list[CheckedFile]:
    """Make the rows of a query, at most the first `limit`, readable as the table `checked`.

    They are written to Parquet files in the folder. `check_files` describes the errors.
    """
    query = query if query.reader else query.run(folder)
    checked: list[CheckedFile] = []
    for number, batch in enumerate(sources.in_batches(query.files(), lambda _: "")):
        named = {file.name: file for file in batch}
        read = check_files(named, query, folder / f"{number:06}.parquet", limit)
        checked += read
        if limit is not None:
            limit -= sum(file.rows + file.left_out for file in read)
            if limit <= 0:
                break
    queries.attach_parquet(connection, "checked", sorted(folder.glob("0*.parquet")))
    return checked


def check_files(
    files: Mapping[str, LogFile],
    query: PlaysQuery,
    target: Path,
    limit: int | None = None,
) -> list[CheckedFile]:
    """Run a query for some of its files, and write its rows, checked, to a Parquet file.

    `sql/interactions/checked_rows.sql` has the columns. Beyond `MEMORY`, DuckDB spills beside the
    target.

    Args:
        files: The files by their digests.
        query: The query.
        target: The Parquet file.
        limit: Number of rows to read, the first.

    Raises:
        AnalysisError: The query fails or returns other columns, or a file is empty or damaged.
    """
    try:
        return _check_files(files, query, target, limit)
    except (AnalysisError, queries.DatabaseError) as error:
        is_machine = isinstance(error, (queries.OutOfMemory, queries.DiskError))
        if is_machine and "GZIP" not in str(error):
            raise
        if len(files) == 1:
            (file,) = files.values()
            with explained(f"{query.name} on {file.name}"):
                raise
    # A single file is to blame.
    checked: list[CheckedFile] = []
    for source, file in files.items():
        alone = target.with_stem(f"{target.stem}-{len(checked)}")
        checked += check_files({source: file}, query, alone, limit)
    return checked


def _check_files(
    files: Mapping[str, LogFile],
    query: PlaysQuery,
    target: Path,
    limit: int | None,
) -> list[CheckedFile]:
    """Read files in one statement."""
    # each thread has buffers of twice that size
    threads = {"threads": "1"} if "maximum_object_size" in query.sql else {}
    spilled = target.parent / "spilled"
    connected = queries.connect(memory_limit=MEMORY, temp_directory=spilled, **threads)
    malformed: dict[str, list[Malformed]] = defaultdict(list)
    with ExitStack() as stack, connected as connection:
        paths = open_copies(stack, files, query, target.parent)
        first, *further = [
            _attach(connection, query, source, path) for source, path in paths.items()
        ]
        names, rows = first
        for _, more in further:
            rows = rows.union(more)
        rows = rows.limit(limit) if limit else rows
        rows.create_view("returned", replace=True)
        amount = next((name for name in AMOUNTS if name in names), None)
        written = queries.copy_to_parquet(
            connection,
            "interactions/checked_rows",
            target,
            amount=amount,
            known=[*names],
            has_order="position" in stored_columns(names),
            has_text_ids=not query.is_csv
            if query.has_text_ids is None
            else query.has_text_ids,
        )
        if query.is_csv and "store_rejects" in query.text_for(
            [target], keeps_rejects=True
        ):
            sources_by_path = {str(path): source for source, path in paths.items()}
            lines = queries.fetch_table(connection, "interactions/malformed_rows")
            for line in lines.to_pylist():
                malformed[sources_by_path[line.pop("path")]].append(
                    tuple(line.values())
                )
        counts: dict[str, Any] = dict.fromkeys(files, 0)
        counts[next(iter(files))] = written
        if len(files) > 1:
            queries.attach_parquet(connection, "checked", [target])
            counted = queries.fetch_table(connection, "interactions/file_rows")
            counts |= dict(zip(*counted.to_pydict().values(), strict=True))
        left_out = 0
        if sql := query.left_out([*paths.values()]):
            ((left_out,),) = connection.sql(sql).aggregate("count(*)").fetchall()
    checked = []
    for source, file in files.items():
        lines = malformed[source]
        checked.append(CheckedFile(file, lines, names, counts[source], left_out))
        if not (counts[source] or lines or left_out or limit):
            raise AnalysisError(f"{file.name}: {EMPTY}")
        left_out = 0
    return checked


def open_copies(
    stack: ExitStack, files: Mapping[str, LogFile], query: PlaysQuery, folder: Path
) -> dict[str, Path]:
    """Copy tables of databases and text that is not UTF-8 to a folder, until a stack ends.

    Returns:
        The paths of all files, or their copies, by digest.

    Raises:
        AnalysisError: A database cannot be read, or a text has another encoding.
    """
    reader = query.reader
    encoding = reader.options.get("encoding") if reader else None
    paths = {}
    for source, file in files.items():
        if file.suffix in DATABASES:
            file = copy_table(file, reader.table if reader else None, folder)
            stack.callback(file.path.unlink, missing_ok=True)
        text = encoding["literal"]["text"] if encoding else None
        paths[source] = stack.enter_context(decoded(file, text, folder)).path
    return paths


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
        rows = bind(connection, query.text_for([path], keeps_rejects=True))
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    check_columns(types, query.name)
    values: dict[str, queries.Expression] = {
        "source": queries.Constant(source),
        "row": queries.Sql("row_number() OVER ()"),
    }
    amount = next((name for name in AMOUNTS if name in types), None)
    for name in COLUMNS:
        value = queries.Column(name) if name in types else queries.Constant(None)
        is_json = types.get(name) == "JSON"
        if COLUMNS[name].kind == "id":
            kind = queries.Function("json_type", value)
            values[f"{name}_kind"] = kind if is_json else queries.Constant(types[name])
        if is_json:
            value = queries.Function(
                "json_extract_string", value, queries.Constant("$")
            )
        values[name] = value.cast("VARCHAR") if COLUMNS[name].kind == "id" else value
    values["amount"] = values[amount] if amount else queries.Constant(1.0)
    return tuple(types), rows.select(
        *(v.alias(n) for n, v in values.items() if n not in AMOUNTS)
    )
