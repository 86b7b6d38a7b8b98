"""Make the query of plays by the names of columns, a preset, a file of SQL, or SQL.

A preset is the query of a published data set, with `{path}` for its files. A new preset is a file
in `presets/`, and a row in docs/own-data.md.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from analysis.plays.draft import draft_columns
from analysis.plays.files import function_of, table_paths
from analysis.plays.query import PlaysQuery, listed
from recsys.errors import IngestError

_FOLDER = Path(__file__).with_name("presets")
EVENT_LOG = "event-log"
PRESETS = sorted(file.stem for file in _FOLDER.glob("*.sql"))
_MARK = re.compile("^-- (columns|first line): (.*)", re.MULTILINE)


def make_query(
    paths: Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    preset: str | None = None,
    sql: str | None = None,
    name: str = "",
) -> PlaysQuery | None:
    """Make the query that reads plays.

    Args:
        paths: Files, folders or patterns, or a file of SQL.
        columns: Names of columns by the columns of the result that they are.
        preset: The published data set of the files.
        sql: A query in place of files.
        name: Name of the files for messages; by default the first path.

    Returns:
        The query; None for event logs.

    Raises:
        AnalysisError: A file cannot be found or read, or lacks a column.
        IngestError: The arguments contradict each other, or the preset is unknown.
    """
    is_query = [str(path).endswith(".sql") for path in paths]
    ways = [bool(sql), any(is_query), bool(preset), bool(columns)]
    if sum(ways) > 1 or (any(is_query) and len(paths) > 1) or bool(paths) == bool(sql):
        raise IngestError(
            "name files, with columns or a preset, or one file of SQL, or a query"
        )
    if sql:
        return PlaysQuery(sql)
    if any(is_query):
        return PlaysQuery.read(Path(paths[0]))
    if preset:
        return preset_query(preset, paths)
    return draft_columns(paths, columns or {}, name) if columns or name else None


def preset_query(
    preset: str, paths: Sequence[str | Path], folder: Path = Path()
) -> PlaysQuery:
    """Make the query of a preset for files, relative to a folder.

    >>> print(preset_query("yambda", ["listens.parquet"]).sql.splitlines()[-2])
    FROM read_parquet('listens.parquet')

    Raises:
        IngestError: The preset is unknown.
    """
    if preset not in PRESETS:
        names = ", ".join(PRESETS)
        raise IngestError(f"preset: {preset} is unknown; known are {names}")
    files = table_paths(paths, folder)
    text = _text(preset).replace(
        "FROM {path}", f"FROM {function_of(files[0])}({{path}})"
    )
    return PlaysQuery(text.replace("{path}", listed(files)), folder, f"preset {preset}")


def recognize(columns: Iterable[str], first_line: str) -> str | None:
    """Find the preset of a file by the names of its columns, or its first line.

    >>> recognize(["header", "title", "titleUrl", "subtitles", "time"], "[{")
    'youtube'
    """
    names = {*columns}
    for preset in PRESETS:
        for mark, value in _MARK.findall(_text(preset)):
            if (
                {*value.split(", ")} <= names
                if mark == "columns"
                else re.fullmatch(value, first_line)
            ):
                return preset
    return None


def _text(preset: str) -> str:
    return (_FOLDER / f"{preset}.sql").read_text(encoding="utf-8")
