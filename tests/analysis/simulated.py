"""A log of listeners who differ, over two weeks."""

from pathlib import Path

from tests.analysis.ab.logs import experiment, write

LISTENERS = 400


def write_log(folder: Path) -> Path:
    """Write a session a day of every listener; no recommendation is a fallback."""
    events = experiment(LISTENERS, arms=("C",), days=14)
    write(
        folder / "a.jsonl",
        (event | {"recommender": event["recommender"] and "of C"} for event in events),
    )
    return folder
