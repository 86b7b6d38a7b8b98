"""Guess what the columns of a file hold from their names and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from analysis.tables.columns import Decimal

# names of columns by what they hold, in the order in which they are looked for
NAMES: Mapping[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("names.yaml").read_text(encoding="utf-8")
)
PLAYS, EVENT = "plays", "event"  # entries that are no roles
_FILLED = 0.95  # share of the rows that have a value
_HALF = 0.5  # the same of ids, whose rows are left out otherwise
_MOST_EVENTS = 100  # different values of a column of event types
_SHORTEST_END = 4  # letters
_SECONDS = {"ms": 0.001, "msec": 0.001, "minutes": 60.0, "min": 60.0, "hours": 3600.0}
_RATING = re.compile(r"(rating|stars)$")
_UNIT = re.compile(r"(ms|ns|us|utc)$")  # at the end of a name
# `strptime` forms of dates, the likelier first, and of the times behind them
_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    "%Y%m%d",
)
_FIRST_YEAR = 1980
_TIMES = ("", "%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_BETWEEN = (" ", ", ", " at ")
_IDS = {"user", "item", "session"}
_TEXTS = {"title", "artist"}


@dataclass(frozen=True)
class Column:
    """A column; the fields are columns of `sql/interactions/column_values.sql`."""

    name: str
    filled: float
    is_number: bool
    is_time: bool
    decimal: Decimal | None
    smallest: float | None
    largest: float | None
    kinds: int
    example: str

    @property
    def letters(self) -> str:
        """The name in lower case, without punctuation and what RecBole says of its type."""
        name = self.name.lower().partition(":")[0].replace("uuid", "id")
        return "".join(filter(str.isalnum, name))

    @property
    def is_rating(self) -> bool:
        """Whether the values are stars, such as 1 to 5."""
        return _RATING.search(self.letters) is not None and (self.largest or 99) <= 10

    @property
    def liked_from(self) -> float:
        """The number of stars that says that a track is liked: four of five."""
        return 4.0 if (self.largest or 0) <= 5 else 8.0

    @property
    def scale(self) -> float:
        """The seconds of a unit of time that was heard; 1 of what is no time."""
        words = re.split("[^a-z]+", self.name.lower())
        scales = [seconds for unit, seconds in _SECONDS.items() if unit in words]
        return scales[0] if scales and is_time_heard(self.name) else 1.0

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


def is_time_heard(name: str) -> bool:
    """Whether a column is named as one of how long a track was heard."""
    letters = "".join(filter(str.isalnum, name.lower()))
    names = (*NAMES["played"], *_SECONDS, "seconds")
    return letters.endswith(names)


def date_forms(columns: Iterable[Column]) -> list[str]:
    """List the forms of dates in which an example of some column is written."""
    forms = [
        date + (between + time if time else "")
        for date in _DATES
        for time in _TIMES
        for between in (_BETWEEN if time else ("",))
    ]
    examples = {column.example for column in columns}
    return [form for form in forms if any(_is_date(text, form) for text in examples)]


def _is_date(text: str, form: str) -> bool:
    try:
        return datetime.strptime(text, form).year > _FIRST_YEAR  # noqa: DTZ007
    except ValueError:
        return False


def find(role: str, columns: Iterable[Column], *, check: bool = True) -> Column | None:
    """Find the column with the first of a role's names, or whose name ends so, and that fits."""
    plain = {column.letters: column for column in columns}
    for letters, column in list(plain.items()):
        plain.setdefault(_UNIT.sub("", letters), column)
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
