"""Lines of an event log, and logs as the reader gives them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.logs import reader as event_log
from analysis.logs.field_types import IdKinds
from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts, event_row, parse_line
from analysis.store import number_of

START_MS = 1_767_225_600_000
EVENT: dict[str, Any] = {
    "message": "next",
    "timestamp": START_MS,
    "user": 7,
    "track": 11,
    "time": 0.73,
    "latency": 0.000208,
    "recommendation": 12,
    "experiments": {"AA": "C", "REC": "T1"},
    "session": "random-1-0",
    "recommender": "random",
    "propensity": 2e-05,
    "request": 3,
}
COLUMNS = tuple(EVENT)


def text(**changes: object) -> str:
    """An event's line with some values replaced; `...` leaves the key out."""
    return json.dumps(
        {key: value for key, value in (EVENT | changes).items() if value is not ...}
    )


def raw(key: str, token: str) -> str:
    """An event's line in which a key has a token that is not JSON as Python writes it."""
    return text(**{key: "@@"}).replace('"@@"', token)


@dataclass
class Loaded:
    """A log as the reader gives it: rows, counts, and (line, reason) of each reject."""

    rows: list[dict[str, Any]]
    lines: LineCounts
    rejects: list[tuple[int, str]]


Load = Callable[..., Loaded]


def read_all(logs: list[LogFile]) -> list[Loaded]:
    """Read some logs together; returns them in their order."""
    loaded = {log: Loaded([], LineCounts(), []) for log in logs}
    for part in event_log.read([logs], event_log.kinds_of(logs)):
        log = loaded[part.file]
        log.rows += part.events.to_pylist()
        log.lines += part.lines
        log.rejects += [(reject.line, reject.reason) for reject in part.rejects]
    return [*loaded.values()]


def outcome(line: bytes, kinds: IdKinds) -> dict[str, Any] | str:
    """Return a line's row by the exact parser alone, or its error."""
    try:
        row = event_row(parse_line(line.removesuffix(b"\r"), kinds=kinds))
    except ValueError as error:
        return str(error)
    keys = ("user", "track", "recommendation")
    ids = {key: number_of(row[key]) for key in keys if isinstance(row[key], str)}
    return row | ids


def write(file: Path, content: str = f"{text()}\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file
