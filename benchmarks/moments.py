"""An A/B report from a Parquet file of 10 million rows, by SQL.

    python -m benchmarks.moments

Rows of listeners, and of sessions of a million listeners, with two metrics and a guardrail.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

import listening_loop as ll
from benchmarks import harness

ROWS = """
SELECT
    if(hash(i % $listeners) % 2 = 0, 'C', 'T1') AS arm,
    i % $listeners AS listener,
    exp(random() * 3) AS minutes,
    CAST(random() * 5 + 1 AS INTEGER) AS plays,
    random() * 10 AS ms
FROM range($rows) AS numbers(i)
"""


def main(
    rows: Annotated[int, typer.Option(min=1000)] = 10_000_000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Make the files, and time reports on them in turns."""
    found = []
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as connection:
        for listeners, column in ((rows, None), (rows // 10, "listener")):
            file = Path(name) / f"{listeners}.parquet"
            given = {"rows": rows, "listeners": listeners}
            connection.sql(ROWS, params=given).write_parquet(str(file))
            query = f"SELECT * FROM '{file}'"  # noqa: S608  our own file
            settings: dict[str, Any] = {
                "metrics": ["minutes", "minutes / plays"],
                "guardrails": {"ms": 5},
                "listener": column,
            }
            times = [
                harness.seconds(
                    partial(ll.ab, query, connection=connection, **settings)
                )
                for _ in range(repeats)
            ]
            shown = ", ".join(f"{time:.1f}" for time in times)
            found.append([f"{rows:,}", f"{listeners:,}", shown])
    harness.show("An A/B report by SQL", ("rows", "listeners", "seconds"), found)
    harness.show_machine("duckdb")


if __name__ == "__main__":
    typer.run(main)
