"""Guess what the columns of a file hold from their names and values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

# names of columns by what they hold, in the order in which they are looked for
NAMES: Mapping[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("names.yaml").read_text(encoding="utf-8")
)
PLAYS, EVENT = "plays", "event"  # entries that are no roles
_FILLED = 0.95  # share of the rows that have a value
_HALF = 0.5  # the same of ids, whose rows are left out otherwise
_MOST_EVENTS = 100  # different values of a column of event types
_SHORTEST_END = 4  # letters
_IDS = {"user", "item", "session"}
_TEXTS = {"title", "artist"}


@dataclass(frozen=True)
class Column:
    """A column; the fields are columns of `sql/interactions/column_values.sql`."""

    name: str
    filled: float
    is_number: bool
    is_time: bool
    smallest: float | None
    largest: float | None
    kinds: int

    def fits(self, role: str, least: float = _FILLED) -> bool:
        """Whether the values may be what a role says, and so large a share of the rows has one."""
        if role in _TEXTS:
            return not (role == "title" and self.is_number)  # of artists, ids do
        if self.filled < least:
            return False
        if role == "timestamp":
            return self.is_time
        if role == EVENT:
            return self.kinds <= _MOST_EVENTS and not self.is_number
        if role == "organic":
            return self.kinds <= 2
        if role in _IDS:
            return True
        is_amount = self.is_number and (self.smallest or 0) >= 0
        return is_amount and (role != "share" or (self.largest or 0) <= 100)


def find(role: str, columns: Iterable[Column], *, check: bool = True) -> Column | None:
    """Find the column with the first of a role's names, or whose name ends so, and that fits."""
    plain = {}
    for column in columns:
        plain["".join(filter(str.isalnum, column.name.lower()))] = column
    for least in (_FILLED, _HALF) if role in ("user", "item") else (_FILLED,):
        for name in NAMES[role]:
            for letters, column in plain.items():
                is_end = len(name) >= _SHORTEST_END and letters.endswith(name)
                fits = not check or column.fits(role, least)
                if fits and (name == letters or is_end):
                    return column
    return None


def guess_roles(
    columns: Sequence[Column], named: Mapping[str, str], *, has_names: bool = True
) -> dict[str, str]:
    """Guess the columns that the owner has not named; by their values if none has a name."""
    roles = {} if has_names else _guess_by_values(columns)
    roles |= named
    for role in NAMES:
        if role in roles or role in (EVENT, PLAYS) or not has_names:
            continue
        used = {part for name in roles.values() for part in name.split("+")}
        if role in _TEXTS:  # an id may be a title too
            used -= {*roles.get("item", "").split("+")}
        column = find(role, (free for free in columns if free.name not in used))
        if column:
            roles[role] = column.name
    dates = [c.name for c in columns if c.is_time and not c.is_number]
    if dates and "timestamp" not in roles:
        roles["timestamp"] = dates[0]
    has_share = "share" in roles or roles.keys() >= {"played", "duration"}
    has_order = "timestamp" in roles or "session" in roles
    if has_share and has_order and "weight" not in named:
        left_out = {"weight"} | ({"played", "duration"} if "share" in roles else set())
    else:
        amounts = [roles.get(role, "") for role in ("weight", "played", "share")]
        roles["weight"] = next(filter(None, amounts), "")
        left_out = {"share", "played", "duration", "organic"}
        left_out |= {"position"} if "timestamp" in roles else set()
    return {role: name for role, name in roles.items() if name and role not in left_out}


def _guess_by_values(columns: Sequence[Column]) -> dict[str, str]:
    """Guess columns without names: listener, track, a number that weighs, and a time."""
    times = [column.name for column in columns if column.is_time]
    rest = [column for column in columns if column.name not in times]
    weights = [column.name for column in rest[2:] if column.fits("weight")]
    names = [*(column.name for column in rest[:2]), *weights[:1]]
    roles = dict(zip(("user", "item", "weight"), names, strict=False))
    return roles | ({"timestamp": times[0]} if times else {})
