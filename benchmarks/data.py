"""Data for benchmarks: the full-size world, its log and store, and a log with arms.

`python -m benchmarks.data` makes the first three in out/seed.
"""

from pathlib import Path

import mmh3
import orjson
import typer

from analysis.logs.field_types import NUMBERS, database_types
from analysis.logs.files import discover
from benchmarks.harness import (
    SEED_LOG,
    SEED_STORE,
    Measured,
    measure,
    measure_module,
    python,
)


def main() -> None:
    """Make the full-size world, log and store where they are missing."""
    world = Path("out/seed/world")
    if not world.exists():
        measure_module("sim.world", config="configs/world/seed.yaml", out=world)
    if not SEED_LOG.exists():
        measure_module("sim.run", config="configs/collect/seed.yaml", log=SEED_LOG)
    if not SEED_STORE.exists():
        measure_module("recsys.ingest", SEED_LOG, store=SEED_STORE)


PLAIN = """
import sys, duckdb
*files, target = sys.argv[1:]
duckdb.read_json(files, format="newline_delimited", columns={columns}).write_parquet(target)
"""


def measure_plain_copy(log: Path, target: Path) -> Measured:
    """Measure DuckDB's plain copy of a log to Parquet, in a process of its own."""
    script = PLAIN.format(columns=database_types(NUMBERS))
    files = [file.path for file in discover([log])]
    return measure(python("-c", script, *files, target))


def with_arms(log: Path, folder: Path, experiments: tuple[str, ...]) -> int:
    """Write a log's files with experiments of two arms each, by the service's hash.

    Returns:
        The number of events.
    """
    folder.mkdir(parents=True)
    seeds = {name: mmh3.hash(name, signed=False) for name in experiments}
    events, none = 0, b'"experiments":{}'
    for file in discover([log]):
        with file.path.open("rb") as lines, (folder / file.path.name).open("wb") as out:
            for line in lines:
                user = line.partition(b'"user":')[2].partition(b",")[0]
                arms = {
                    name: ("C", "T1")[mmh3.hash(user, seed, signed=False) % 2]
                    for name, seed in seeds.items()
                }
                out.write(line.replace(none, none[:-2] + orjson.dumps(arms)))
                events += 1
    return events


if __name__ == "__main__":
    typer.run(main)
