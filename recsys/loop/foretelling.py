"""What an arm's lists are foretold to be worth, by the random collection without the sessions that they learned from.

On the first day every listener's list was learned from the same kind of log, so that all of them foretell each arm.
From the second day on a list was also learned from what its listener heard in an arm, and listeners keep theirs: the
lists of an arm's own listeners are valued, and nobody else's.
"""

from collections.abc import Iterator
from pathlib import Path

import orjson

from common.files import atomic_write
from recsys.export import RECOMMENDATIONS
from recsys.loop.places import Day


def lists_of_arm(day: Day, experiment: str, arm: str) -> Path:
    """The training lists that foretell an arm; of its own listeners alone from the second day on."""
    everybody = day.training_lists / "current" / RECOMMENDATIONS
    if day.number == 1:
        return everybody
    own = set(_listeners_of(day.log, experiment, arm))
    file = everybody.with_name(f"of-{arm}.jsonl")
    with everybody.open("rb") as lists, atomic_write(file) as kept:
        kept.writelines(line for line in lists if orjson.loads(line)["user"] in own)
    return file


def _listeners_of(log: Path, experiment: str, arm: str) -> Iterator[int]:
    for segment in log.glob("events-*.jsonl"):
        with segment.open("rb") as lines:
            for line in lines:
                event = orjson.loads(line)
                if event["experiments"].get(experiment) == arm:
                    yield event["user"]
