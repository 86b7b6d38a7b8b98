"""Read the groups of listeners, such as the listeners of a country, that are segments."""

from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.errors import AnalysisError
from analysis.queries import Column

MOST_SEGMENTS = 100


def read_groups(file: Path, by: str) -> pa.Table:
    """Read the group of each listener.

    Args:
        file: A Parquet or CSV file with a column `listener`, or a `.sql` file with a query of
            DuckDB's that returns such rows.
        by: The column of the groups.

    Returns:
        Columns `user`, a number that stands for the listener, and `label`.

    Raises:
        AnalysisError: The file cannot be read, lacks a column, or has a listener in two groups.
    """
    with (
        queries.connect() as connection,
        queries.naming(str(file), OSError, queries.DatabaseError),
    ):
        if file.suffix == ".sql":
            rows = connection.sql(file.read_text(encoding="utf-8"))
        elif file.suffix in (".parquet", ".pq"):
            rows = connection.read_parquet(str(file))
        else:
            rows = connection.read_csv(str(file), all_varchar=True)
        texts = {"listener": Column("listener"), "label": Column(by)}
        columns = (text.cast("VARCHAR").alias(name) for name, text in texts.items())
        rows.select(*columns).create_view("grouped", replace=True)
        groups = queries.fetch_table(connection, "ab/listener_groups")
    labels = groups["label"].unique().drop_null().to_pylist()
    for row in groups.filter(groups["second"].is_valid())[:1].to_pylist():
        problem = f"a listener is in {row['label']} and in {row['second']}"
        raise AnalysisError(f"{file}: {problem}; a single {by} is expected")
    check_number(labels, f"{file}: {by}")
    return groups.select(["user", "label"])


def check_number(labels: list[str], name: str) -> None:
    """Refuse a column of more groups than anybody reads.

    Raises:
        AnalysisError: There are more.
    """
    if len(labels) > MOST_SEGMENTS:
        raise AnalysisError(
            f"{name}: {len(labels):,} groups, at most {MOST_SEGMENTS} are allowed; "
            "name a column with fewer, such as ranges of a number"
        )
