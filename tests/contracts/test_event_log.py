"""The event log, from both sides.

What the simulator and the original service write is what the store then holds.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from analysis.logs.field_types import EVENT_SCHEMA
from analysis.store import EVENT_COLUMNS, Store
from recsys.ingest.pipeline import ingest
from sim.events import format_events
from tests.recsys.events import read_rows

# As the original course service logs: no session, recommender or propensity; white space as
# Python's json has it.
ORIGINAL = (
    '{"message": "next", "timestamp": 1642331107305, "user": 2781, "track": 40351, "time": 1.0, '
    '"latency": 0.0008165836334228516, "recommendation": 34213, '
    '"experiments": {"AA": "T1", "STICKY_ARTIST": "C"}}',
    '{"message": "next", "timestamp": 1642331107311, "user": 2781, "track": 34213, "time": 0.07, '
    '"latency": 0.0006527900695800781, "recommendation": 19111, '
    '"experiments": {"AA": "T1", "STICKY_ARTIST": "C"}}',
    '{"message": "last", "timestamp": 1642331107316, "user": 2781, "track": 19111, "time": 0.4, '
    '"latency": 0.00014281272888183594, "recommendation": null, '
    '"experiments": {"AA": "T1", "STICKY_ARTIST": "C"}}',
)


def simulated() -> bytes:
    return format_events(
        session=np.array([4, 4, 4, 5]),
        listener=np.array([17, 17, 17, 0]),
        is_last=np.array([False, False, True, True]),
        timestamp=np.array(
            [1_767_225_605_204, 1_767_225_624_204, 1_767_225_652_204, 1_767_225_700_000]
        ),
        track=np.array([45_826, 49_143, 8_586, 0]),
        hundredths=np.array([100, 10, 0, 57]),
        propensity=2e-05,
        recommender="random",
        session_prefix="random-1-",
    )


def stored(folder: Path, log: bytes) -> Store:
    file = folder / "events.jsonl"
    file.write_bytes(log)
    report = ingest([file], folder / "store")
    assert report.lines.rejected == 0
    return report.store


def expected(line: str | bytes) -> dict[str, Any]:
    """The row of a line: every field of an event as logged, null if the log has none."""
    logged = json.loads(line)
    columns = {field: column for column, field in EVENT_COLUMNS.items()}
    row = {columns.get(name, name): logged.get(name) for name in EVENT_SCHEMA.names}
    row["latency"] = float(np.float32(logged["latency"]))
    row["experiments"] = json.dumps(
        logged["experiments"], sort_keys=True, separators=(",", ":")
    )
    return row


def test_what_the_simulator_writes_arrives_unchanged(tmp_path: Path) -> None:
    log = simulated()
    rows = read_rows(stored(tmp_path, log))
    assert len(rows) == 4
    assert sorted(rows, key=repr) == sorted(map(expected, log.splitlines()), key=repr)


def test_what_the_original_service_wrote_arrives_unchanged(tmp_path: Path) -> None:
    rows = read_rows(
        stored(tmp_path, "".join(f"{line}\n" for line in ORIGINAL).encode())
    )
    assert rows == [expected(line) for line in ORIGINAL]
