"""What a day's lists are estimated to be worth by answers to random recommendations that had no part in them.

On the first day these are the held-out sessions of the random collection: the estimate is foretold. Afterwards they are
none any more: what was published had learned from them, it was served, and the next lists learn from the answers. So
later days are estimated by the control's listeners, who never heard a list, in that day's sessions, which nothing was
learned from; with the lists that were published for them.
"""

from pathlib import Path

import orjson

from analysis.ab.tables import listeners_of
from looplib.files import atomic_write
from recsys.export.export import RECOMMENDATIONS
from recsys.loop.places import Day


def training_lists(day: Day) -> Path:
    """The lists without the held-out sessions."""
    return day.training_lists / "current" / RECOMMENDATIONS


def lists_of_arm(day: Day, published: Path, experiment: str, arm: str) -> Path:
    """The published lists of an arm's listeners, in a file of the day's own."""
    own = set(listeners_of([day.log], experiment, arm))
    file = day.folder / f"lists-of-{arm}.jsonl"
    with published.open("rb") as lists, atomic_write(file) as kept:
        kept.writelines(line for line in lists if orjson.loads(line)["user"] in own)
    return file
