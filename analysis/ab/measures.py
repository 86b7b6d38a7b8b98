"""What is measured of each listener: every metric's `.sql` file, run on a slice at a time.

`measure` makes of the slices that `tables.load` leaves

- `all_sessions`: one row a session, closed or not (`sql/ab/sessions.sql`);
- a table for each metric's file and each division, such as `listener_sums_whole`: one row a
  listener, arm and part; divisions are `whole`, and into segments, such as `by_genre`;
  those of `listener_sums` have all listeners, arms and parts with a session;
- `histogram_` and the name of each file of a quantile, `positions`: counts by arm, to be added up;
- `credited`: what each listener heard of interleaved recommenders (`sql/ab/credited.sql`).

A metric reads the views `sessions` (`sql/ab/closed_sessions.sql`) and `events`
(`sql/ab/closed_events.sql`), whose column `part` is what the numbers are asked for: 0 for the whole
experiment, or a segment.
"""

import glob
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.metrics import METRICS, Metric, column_name
from analysis.ab.tables import LEFT_OUT, Loaded, assign
from analysis.errors import AnalysisError
from analysis.logs.field_types import EVENT_SCHEMA
from analysis.statistics.quantiles import Histogram
from looplib.arrays import FloatArray

WHOLE = "whole"
NOVELTY, PAST = "novelty", "past"  # divisions into segments that need no file
LABELS = "by_"  # what the names of the others begin with, before the column's
_GROUPS = 100  # of listeners, whose values are alike


def measure(loaded: Loaded, config: AbConfig) -> None:
    """Make the tables of the module's docstring.

    Raises:
        AnalysisError: A file of labels cannot be read, or lacks its columns.
    """
    connection = loaded.connection
    own = own_recommenders(loaded, config)
    _read_labels(connection, config)
    summed = [metric for metric in config.reported if metric.quantile is None]
    quantiles = [metric for metric in config.reported if metric.quantile is not None]
    # The whole comes last and stays, for what has many rows a listener.
    labelled = [f"{LABELS}{column}" for column in config.segments]
    divisions = dict.fromkeys((NOVELTY, PAST, *labelled), config.deciding)
    divisions[WHOLE] = summed

    def add(table: str, name: str, of: str = "", **values: object) -> None:
        with queries.naming(of or name, *queries.DataErrors):
            rows = queries.open_rows(connection, name, **values)
            queries.append(table, rows)

    for events_file in loaded.slices:
        _open_slice(connection, events_file, loaded.end_ms, own, config)
        queries.append("all_sessions", connection.table("slice_sessions"))
        add("credited", "ab/credited")
        for by, metrics in divisions.items():
            _divide(connection, by, loaded.start_ms)
            for source, file in _files([METRICS["sessions"], *metrics]).items():
                add(f"{source}_{by}", file)
        add("positions", "ab/positions", deepest=config.positions)
        for source, file in _files(quantiles).items():
            queries.attach_query(connection, source, file)
            counted = {"measured_table": source, "groups": _GROUPS}
            add(f"histogram_{source}", "ab/histogram", of=file, **counted)


def own_recommenders(loaded: Loaded, config: AbConfig) -> dict[str, str]:
    """Return each arm's recommender, configured or the one that answered most."""
    found = {arm: row["own"] for arm, row in loaded.arms.items() if row["own"]}
    return found | config.recommenders


def _read_labels(connection: queries.Connection, config: AbConfig) -> None:
    """Keep the labels of segments as the table `labels`."""
    queries.materialize(connection, "labels", "ab/no_labels")
    for column, file in config.segments.items():
        where = f"segments {column}: {file}"
        with queries.naming(where, OSError, queries.DatabaseError):
            rows = connection.table(glob.escape(str(file)))
            keys = [key for key in ("user", "track") if key in rows.columns]
            if len(keys) != 1 or column not in rows.columns:
                problem = f"a column {column} and one of user and track are expected"
                found = ", ".join(rows.columns)
                raise AnalysisError(f"{where}: {problem}; found are {found}")
            labels = rows.select(
                queries.Constant(f"{LABELS}{column}"),
                queries.Constant(keys == ["track"]),
                queries.Column(keys[0]).cast("BIGINT"),
                queries.Column(column).cast("VARCHAR"),
            )
            queries.append("labels", labels)


def _open_slice(
    connection: queries.Connection,
    file: Path,
    end_ms: int,
    own: Mapping[str, str],
    config: AbConfig,
) -> None:
    """Make the tables `session_events` and `slice_sessions` of the file of a slice."""
    queries.materialize(
        connection,
        "session_events",
        "ab/session_events",
        assigned_file=str(file),
        end_ms=end_ms,
        arms=[*own],
        recommenders=[*own.values()],
    )
    queries.materialize(
        connection, "slice_sessions", "ab/sessions", skip_below=config.skip_below
    )


def _divide(connection: queries.Connection, by: str, start_ms: int) -> None:
    """Make the views `sessions` and `events` of a slice, with the parts of a division."""
    if by == WHOLE:
        queries.attach_query(connection, "divided", "ab/whole", start_ms=start_ms)
    else:
        queries.attach_query(
            connection, "divided", "ab/by_segment", by=by, start_ms=start_ms
        )
    queries.attach_query(connection, "sessions", "ab/closed_sessions")
    queries.attach_query(connection, "events", "ab/closed_events")


def _files(metrics: Iterable[Metric]) -> dict[str, str]:
    """Return the files of metrics, by what their tables are called."""
    return {metric.source: metric.sql for metric in metrics}


def check_files(config: AbConfig) -> None:
    """Run every metric's file on no events, and check its columns and those of segments' files.

    Raises:
        AnalysisError: A file cannot be read, is no SQL, or has not the columns.
    """
    with (
        queries.connect(threads=1) as connection,
        tempfile.TemporaryDirectory(prefix="ab-") as folder,
    ):
        _read_labels(connection, config)
        no_events = Path(folder) / "events.parquet"
        pq.write_table(EVENT_SCHEMA.empty_table(), no_events)
        connection.register("left_out", LEFT_OUT.empty_table())
        assign(connection, no_events, "")
        _open_slice(connection, no_events, 0, {}, config)
        _divide(connection, WHOLE, 0)
        for metric in config.reported:
            where = f"metric {metric.name}: {metric.sql}"
            with queries.naming(where, OSError, queries.DatabaseError):
                rows = queries.open_rows(connection, metric.sql)
                columns = map(queries.Column, metric.columns)
                sums = [queries.Function("sum", column) for column in columns]
                rows.aggregate(sums, "user, arm, part").fetchall()


def read_listeners(
    connection: queries.Connection,
    arm: str,
    metrics: Iterable[Metric] = (),
) -> dict[str, FloatArray]:
    """Return the columns of an arm's listeners, shape (listeners,), and of their past as `past_…`.

    Raises:
        AnalysisError: A metric's file has two rows for a listener.
    """
    summed = [metric for metric in metrics if metric.quantile is None]
    columns: dict[str, FloatArray] = {}
    for source in _files([METRICS["sessions"], *summed]):
        for prefix, side in (("", arm), ("past_", None)):
            rows = read_rows(connection, source, WHOLE, arm, side)
            users = rows["user"].to_numpy()
            if len(twice := users[1:][users[1:] == users[:-1]]):
                raise AnalysisError(
                    f"metric {source.removeprefix('own_')}: two rows for listener "
                    f"{twice[0]}; one a user, arm and part is expected"
                )
            for name in rows.column_names[2:]:
                columns[f"{prefix}{name}"] = rows[name].to_numpy()
    return columns


def read_histograms(
    connection: queries.Connection,
    source: str,
    listeners: Mapping[str, int],
) -> dict[str, Histogram]:
    """Return the values of a quantile's source by arm, of which the listeners are given."""
    rows = connection.table(f"histogram_{source}").to_arrow_table()
    histograms = {}
    for arm, count in listeners.items():
        mine = rows.filter(pc.field("arm") == arm)
        names = ("step", "listener_group", "values")
        steps, groups, counts = (mine[name].to_numpy() for name in names)
        histograms[arm] = Histogram.of(steps, groups, counts, count)
    return histograms


def read_rows(
    connection: queries.Connection,
    source: str,
    by: str,
    arm: str,
    side: str | None,
) -> pa.Table:
    """Return user, part and a source's columns of an arm's listeners; side None is their past."""
    rows = queries.fetch_table(
        connection,
        "ab/arm_rows",
        known_table=f"{METRICS['sessions'].source}_{by}",
        measured_table=f"{source}_{by}",
        arm=arm,
        side=side,
    )
    columns = (column_name(source, name) for name in rows.column_names[2:])
    return rows.rename_columns(["user", "part", *columns])
