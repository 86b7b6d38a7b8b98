"""Attach the views in which stores, searches, published lists and reports are asked in SQL.

In: their folders. Out: a DuckDB database with views that read the folders' files in place. A view
is a file of `analysis/sql/views`, and its header becomes the comments of the view. Ids are read
from files and never stand in the text of a statement.
"""

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import msgspec

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.field_types import NUMBERS, IdKinds, database_types
from analysis.logs.files import discover
from analysis.logs.reader import kinds_of
from analysis.queries import Column, Connection, Constant, Sql, Star
from analysis.store import MANIFEST, PLAY, IdsOf, Store, check_files, open_store
from looplib.config import parse_yaml
from looplib.event_fields import SESSION_SILENCE_MS

REPORT = "report.json"
LISTENER_VALUES = "listener_values.parquet"  # of a report
LISTENER_SCORES = "listener_scores.parquet"  # of a run
_LEADERBOARD = "leaderboard.parquet"
_RUN = "config.yaml"
_CATALOGUE = "tracks.json"
# files of lists in a folder of published versions, in a run, and in a version
_LISTS = [
    f"{folder}{pool}.jsonl"
    for folder in ("versions/*/", "export/versions/*/", "")
    for pool in ("recommendations", "repeat", "new")
]
# the number that stands for a text id in a store
_HASHED = 'CAST(md5_number("{}") >> 65 AS BIGINT)'
_EFFECTS = (
    "STRUCT(arm VARCHAR, metric VARCHAR, role VARCHAR, segment VARCHAR, day VARCHAR, "
    "control_value DOUBLE, arm_value DOUBLE, "
    "relative STRUCT(value DOUBLE, lower DOUBLE, upper DOUBLE), p_value DOUBLE, "
    "adjusted_p_value DOUBLE, significant BOOLEAN)[]"
)
_REPORT_FIELDS = {
    "listeners": "MAP(VARCHAR, BIGINT)",
    "sessions": "MAP(VARCHAR, BIGINT)",
    "recommenders": "MAP(VARCHAR, VARCHAR)",
    "config": "STRUCT(control VARCHAR)",
    "effects": _EFFECTS,
    "by_day": _EFFECTS,
    "segments": _EFFECTS,
}
# the names of some columns and their meaning, in the header of a file
_COLUMN = re.compile(r"^-- {3}(\S+(?:, \S+)*) {2,}(.+)$", re.MULTILINE)


@dataclass
class _Folders:
    """The folders that views read."""

    stores: dict[Path, Store] = field(default_factory=dict)
    runs: list[Path] = field(default_factory=list)
    reports: dict[str, Path] = field(default_factory=dict)  # by experiment
    logs: list[str] = field(default_factory=list)  # of reports
    lists: list[Path] = field(default_factory=list)
    catalogues: list[Path] = field(default_factory=list)


def open_views(
    folders: Iterable[str | Path],
    database: str | Path = ":memory:",
    locate: Callable[[str], Path] = Path,
) -> Connection:
    """Open a database with the views of folders.

    A run brings the views of its store, and a report the views of the store or the events of the
    logs that it was made from. Paths in the views are absolute.

    Args:
        folders: Stores, runs, folders of published versions and reports, at most one store.
        database: A new file for the views; by default they are in memory.
        locate: Finds the folder of an address on this machine.

    Raises:
        AnalysisError: A folder is none of these, there are two stores, or a file is damaged.
    """
    connection = queries.connect(database)
    named = _find(folders, locate)
    catalogues = [file.resolve() for file in named.catalogues if file.is_file()]
    has_events = False
    for store in named.stores.values():
        _attach_store(connection, store, catalogues)
        has_events = store.manifest.is_logged
    for run in named.runs:
        _attach_run(connection, run)
    for experiment, report in named.reports.items():
        if not named.stores:
            has_events = _attach_logs(connection, named.logs, catalogues)
        _attach_report(connection, report)
        if has_events:
            pointer = queries.json_pointers(experiment)[0]
            _add(connection, "views/events", experiment=pointer)
    if named.lists:
        _attach_lists(connection, named.lists, catalogues)
    return connection


def _find(folders: Iterable[str | Path], locate: Callable[[str], Path]) -> _Folders:
    """Find out what folders hold, and the folders that they name.

    Raises:
        AnalysisError: A folder holds nothing of ours, or two of them are of a kind.
    """
    named = _Folders()
    pending = [*map(str, folders)]
    for address in pending:
        folder = locate(address).resolve()
        lists = [file for name in _LISTS for file in sorted(folder.glob(name))]
        named.lists += lists
        named.catalogues += [file.with_name(_CATALOGUE) for file in lists]
        if (folder / REPORT).is_file():
            report = msgspec.json.decode((folder / REPORT).read_bytes())
            named.reports[report["experiment"]] = folder
            for source in report["sources"]:
                is_store = (Path(source) / MANIFEST).is_file()
                (pending if is_store else named.logs).append(source)
        elif (folder / _RUN).is_file():
            config = parse_yaml((folder / _RUN).read_bytes(), f"{address}: not a run")
            pending.append(config["store"])
            named.catalogues += map(Path, filter(None, [config.get("catalogue")]))
            named.runs.append(folder)
        elif not lists:
            named.stores[folder] = open_store(folder)
    for kind in (named.stores, named.runs, named.reports.values()):
        if len(kind) > 1:
            paths = " and ".join(map(str, kind))
            raise AnalysisError(f"{paths}: two of a kind; name one folder of each kind")
    return named


def _attach_store(
    connection: Connection, store: Store, catalogues: Sequence[Path]
) -> None:
    """Add the views of a store, with its own titles and the titles of catalogues."""
    manifest = store.manifest
    ids = {
        of: check_files(store.path, (f for f in manifest.id_files if f.of == of))
        for of in get_args(IdsOf)
    }
    parts = check_files(store.path, manifest.parts)
    columns = {**database_types(NUMBERS), **PLAY}
    _attach_files(connection, "stored", parts, columns)
    connection.table("stored").create_view("logged")
    kinds = IdKinds(manifest.text_users, manifest.text_items)
    _attach_names(connection, kinds, catalogues, ids)
    connection.table("listener_names").create_view("value_names")
    has_moments = "timestamp" in manifest.columns
    queries.attach_query(
        connection,
        "named_plays",
        "sessions/named_plays",
        silence_ms=SESSION_SILENCE_MS,
        by_row=False,
        has_moments=has_moments,
        train=[],
        test=[],
    )
    _add(connection, "views/plays", has_moments=has_moments)
    _add(connection, "views/sessions", has_moments=has_moments)
    _add(connection, "views/listeners")
    _add(connection, "views/tracks")


def _attach_logs(
    connection: Connection, logs: Sequence[str], catalogues: Sequence[Path]
) -> bool:
    """Make the events of logs readable as `logged`, unless the logs are gone."""
    try:
        files = discover(logs)
    except AnalysisError:
        files = []
    if not files:
        numbers = {"id": "BIGINT", "listener": "BIGINT"}
        _attach_files(connection, "value_names", (), numbers)
        return False
    kinds = kinds_of(files)
    rows = connection.read_json(
        [glob.escape(str(file.path.resolve())) for file in files],
        columns=database_types(kinds),
        format="newline_delimited",
        ignore_errors=True,
        hive_partitioning=False,
    )
    share = Column("time").alias("share")
    rows.select(Star(exclude=["time"]), share).create_view("logged")
    _attach_names(connection, kinds, catalogues)
    number = Sql(_HASHED.format("user") if kinds.users else '"user"').alias("id")
    names = connection.table("logged").select(number, Column("user").alias("listener"))
    names.distinct().create_view("value_names")
    return True


def _attach_names(
    connection: Connection,
    kinds: IdKinds,
    catalogues: Sequence[Path],
    ids: Mapping[IdsOf, Sequence[Path]] | None = None,
) -> None:
    """Make ids and titles readable as `listener_names` and `track_names`.

    Args:
        connection: The database.
        kinds: Which ids are text.
        catalogues: Files `tracks.json`.
        ids: Files of a store by what they hold; None if events have the ids themselves.
    """
    users, tracks = (_type_of(is_text) for is_text in kinds)
    files = ids or dict.fromkeys(get_args(IdsOf), ())
    number = "BIGINT" if ids else None
    kinds_of: dict[IdsOf, tuple[str, str]] = {
        "users": ("listener_ids", users),
        "items": ("track_ids", tracks),
    }
    for of, (table, kind) in kinds_of.items():
        columns = {"id": number or kind, "original": kind}
        _attach_files(connection, table, files[of], columns)
    titles = {"id": number or tracks, "title": "VARCHAR", "artist": "VARCHAR"}
    _attach_files(connection, "stored_titles", files["titles"], titles)
    _attach_catalogue(connection, catalogues, tracks)
    is_hashed = ids and kinds.tracks
    id_ = Sql(_HASHED.format("track") if is_hashed else "track").alias("id")
    names = [Column(name) for name in ("title", "artist")]
    rows = connection.table("catalogue").select(id_, *names)
    stored = connection.table("stored_titles").select(Column("id"), *names)
    stored.union(rows).create_view("titles")
    queries.attach_query(connection, "listener_names", "views/listener_names")
    queries.attach_query(connection, "track_names", "views/track_names")


def _attach_catalogue(
    connection: Connection, catalogues: Sequence[Path], kind: str
) -> None:
    """Make the titles of catalogues readable as `catalogue`."""
    columns = {"track": kind, "title": "VARCHAR", "artist": "VARCHAR"}
    if not catalogues:
        _attach_files(connection, "catalogue", (), columns)
        return
    files = [glob.escape(str(file)) for file in catalogues]
    rows = connection.read_json(
        files, columns=columns, format="newline_delimited", hive_partitioning=False
    )
    rows.create_view("catalogue", replace=True)


def _attach_lists(
    connection: Connection, files: Sequence[Path], catalogues: Sequence[Path]
) -> None:
    """Add the view of published lists."""
    first: dict[str, Any] = {"user": 0, "tracks": []}
    with files[0].open("rb") as lines:
        for line in lines:
            first = msgspec.json.decode(line)
            if first["tracks"]:
                break
    user, track = (
        _type_of(isinstance(value, str))
        for value in (first["user"], *(first["tracks"][:1] or [0]))
    )
    rows = connection.read_json(
        [glob.escape(str(file)) for file in files],
        columns={"user": user, "tracks": f"{track}[]"},
        format="newline_delimited",
        hive_partitioning=False,
        filename=True,
    )
    rows.create_view("list_lines")
    _attach_catalogue(connection, catalogues, track)
    _add(connection, "views/lists")


def _attach_run(connection: Connection, folder: Path) -> None:
    """Add the views of a finished search."""
    queries.attach_parquet(connection, "leaderboard", [folder / _LEADERBOARD])
    _add(connection, "views/trials")
    if (scores := folder / LISTENER_SCORES).is_file():
        queries.attach_parquet(connection, "listener_scores", [scores])
        _add(connection, "views/scores")


def _attach_report(connection: Connection, folder: Path) -> None:
    """Add the views of an A/B report, whose events or store are attached."""
    file = glob.escape(str(folder / REPORT))
    connection.read_json([file], columns=_REPORT_FIELDS).create_view("report")
    _add(connection, "views/arms")
    _add(connection, "views/effects")
    if (values := folder / LISTENER_VALUES).is_file():
        queries.attach_parquet(connection, "listener_rows", [values])
        _add(connection, "views/listener_values")


def _attach_files(
    connection: Connection,
    table: str,
    files: Sequence[Path],
    columns: Mapping[str, str],
) -> None:
    """Make Parquet files, or no row without files, readable under a table's name."""
    if files:
        queries.attach_parquet(connection, table, files, columns=columns)
        return
    nulls = (Constant(None).cast(kind).alias(name) for name, kind in columns.items())
    connection.sql("SELECT 0 LIMIT 0").select(*nulls).create_view(table)


def _add(connection: Connection, name: str, **values: object) -> None:
    """Add a view of people, with the comments in the header of its file."""
    view = name.partition("/")[2]
    queries.attach_query(connection, view, name, **values)
    head, _, columns = queries.statement(name).partition("\n-- Columns:\n")
    comments = {f"VIEW {view}": head.splitlines()[0].removeprefix("-- ")}
    for names, meaning in _COLUMN.findall(columns):
        for column in names.split(", "):
            comments[f"COLUMN {view}.{column}"] = meaning
    for what, comment in comments.items():
        text = comment.replace("'", "''")
        connection.execute(f"COMMENT ON {what} IS '{text}'")


def _type_of(is_text: bool) -> str:
    return "VARCHAR" if is_text else "BIGINT"
