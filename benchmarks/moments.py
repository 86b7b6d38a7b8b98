"""An A/B report from a Parquet file of 10 million rows, by SQL.

    python -m benchmarks.moments

Rows of listeners, and of sessions of a million listeners, with two metrics and a guardrail.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

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
    repeats: int = 3,
) -> None:
    """Make the files, and time reports on them in turns."""
    cells = []
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as connection:
        for listeners, column in ((rows, None), (rows // 10, "listener")):
            file = Path(name) / f"{listeners}.parquet"
            sizes = {"rows": rows, "listeners": listeners}
            connection.sql(ROWS, params=sizes).write_parquet(str(file))
            report = partial(
                ll.ab,
                f"SELECT * FROM '{file}'",  # noqa: S608  our own file
                connection=connection,
                metrics=["minutes", "minutes / plays"],
                guardrails={"ms": 5},
                listener=column,
            )
            times_s = [f"{harness.seconds(report):.1f}" for _ in range(repeats)]
            cells.append([f"{rows:,}", f"{listeners:,}", ", ".join(times_s)])
    harness.show("An A/B report by SQL", ("rows", "listeners", "seconds"), cells)
    harness.show_machine("duckdb")


if __name__ == "__main__":
    typer.run(main)
