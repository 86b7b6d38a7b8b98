"""Find the files of a query of plays, and copy the files that DuckDB cannot read directly."""

import codecs
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.logs import files
from analysis.logs.files import LogFile

CSV = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
JSON = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
SQLITE = (".db", ".sqlite", ".sqlite3")
DATABASES = (".duckdb", ".ddb", *SQLITE)
# functions that read files, by the suffixes of files that they are chosen for
FUNCTIONS = {
    "read_csv": CSV,
    "read_json": JSON,
    "read_parquet": PARQUET,
    "read_duckdb": DATABASES,
    "sqlite_scan": (),
    "read_csv_auto": (),
    "read_json_auto": (),
    "read_ndjson": (),
    "parquet_scan": (),
}
SUFFIXES = (*CSV, *JSON, *PARQUET, *DATABASES)
_KNOWN = (
    f"{', '.join(CSV)} (CSV), {', '.join(JSON)} (JSON lines or an array), "
    f"both also with .gz, {', '.join(PARQUET)}, {', '.join(DATABASES)}; "
    "unpack others, and write a sheet of Excel as CSV"
)
EMPTY = "empty; at least one row is expected"


def function_of(path: str) -> str:
    """Name the function that reads a file; "" of an unknown suffix.

    >>> function_of("plays.csv.gz")
    'read_csv'
    """
    suffix = LogFile(Path(path), path).suffix
    names = (name for name, suffixes in FUNCTIONS.items() if suffix in suffixes)
    return next(names, "")


def table_paths(paths: Sequence[str | Path], folder: Path = Path()) -> list[str]:
    """Name files and folders as a query in a folder does; a folder by patterns of its files.

    Raises:
        AnalysisError: No file is found, or a file is empty or of no known kind.
    """
    named = []
    for path in map(Path, paths):
        place = path if path.is_absolute() else Path(os.path.relpath(path, folder))
        if not path.is_dir():
            named.append(str(place))
            continue
        suffixes = sorted({file.suffix for file in find_tables([path])})
        named += (f"{glob.escape(str(place))}/**/*{suffix}*" for suffix in suffixes)
    return named


def find_tables(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files of names, folders and glob patterns.

    A folder stands for its files of a known kind, at any depth.

    Raises:
        AnalysisError: No file is found, or a file is empty or of no known kind.
    """
    missing = f"no file of plays here; known are {_KNOWN}"
    logs = files.discover(paths, SUFFIXES, missing)
    for file in logs:
        if file.suffix not in SUFFIXES:
            problem = f"no file of plays; known are {_KNOWN}"
            raise AnalysisError(f"{file.name}: {problem}")
        if not file.size_bytes:
            raise AnalysisError(f"{file.name}: {EMPTY}")
    return logs


@contextmanager
def decoded(file: LogFile, encoding: str | None, folder: Path) -> Iterator[LogFile]:
    """Copy text of another encoding to UTF-8 in a folder, until the block ends.

    Raises:
        AnalysisError: The text has another encoding.
    """
    if not encoding:
        yield file
        return
    copy = (
        folder / "decoded" / file.path.parent.name / file.path.name.removesuffix(".gz")
    )
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            file.open() as packed,
            copy.open("w", encoding="utf-8", newline="") as text,
        ):
            shutil.copyfileobj(codecs.getreader(encoding)(packed), text)
        yield replace(file, path=copy)
    except (LookupError, UnicodeError) as error:
        raise AnalysisError(
            f"{file.name}: encoding {encoding}: {error}; "
            "allowed are Python's names, such as cp1252 or utf-16"
        ) from None
    finally:
        copy.unlink(missing_ok=True)
