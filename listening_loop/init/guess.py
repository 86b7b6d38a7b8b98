"""Guess what the columns of a file hold from their names and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from analysis.tables.columns import Decimal, Reading

# names of columns by what they hold, in the order in which they are looked for
NAMES: Mapping[str, list[str]]
# weights of events that are no plays, by a word of their names
ACTIONS: Mapping[str, float]
NAMES, ACTIONS = yaml.safe_load_all(
    Path(__file__).with_name("names.yaml").read_text(encoding="utf-8")
)
PLAYS, EVENT, SKIPPED = "plays", "event", "skipped"  # entries that are no roles
# what a column that is not used may look like, and the roles that it could have
_LOOKS = {
    "a time": ("timestamp",),
    "an amount": ("weight", "share", "played", "duration"),
    "a user": ("user",),
    "an event": (EVENT,),
    "a skip": (SKIPPED, "weight", "share", "played"),
}
# a value that stands where a name is expected: a number, a date, a long id, an address
_VALUE = re.compile(r"[-\d.,:/ ]*\d|.*\d{4}.*\d\d:\d\d.*|[0-9a-f-]{32,}|\w+://.*")
_FILLED = 0.95  # share of the rows that have a value
_HALF = 0.5  # the same of ids, whose rows are left out otherwise
_MANY_KINDS = 50
_MOST_EVENTS = 100  # different values of a column of event types
_SHORTEST_END = 4  # letters
_LONGEST_TRACK = 6 * 3600  # seconds; a longer time is one of the day
_SECONDS = {
    **dict.fromkeys(("ms", "msec", "milliseconds"), 0.001),
    **dict.fromkeys(("min", "minutes"), 60.0),
    "hours": 3600.0,
}
_RATING = re.compile(r"(rating|stars)$")
_UNIT = re.compile(r"(ms|ns|us|utc)$")  # at the end of a name
# `strptime` forms of dates, the likelier first, and of the times behind them
_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%Y%m%d", "%Y%m%dT%H%M%SZ", "%a, %d %b %Y %H:%M:%S GMT"),
)
_LASTFM_DATE = re.compile(r"\d\d \w{3} \d{4},? \d\d:\d\d")
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
    is_clock: bool
    smallest: float | None
    largest: float | None
    kinds: int
    example: str

    @property
    def letters(self) -> str:
        """The name in lower case, without punctuation and what RecBole says of its type."""
        return _letters(self.name)

    @property
    def is_rating(self) -> bool:
        """Whether the values are stars, such as 1 to 5."""
        has_name = _RATING.search(self.letters) is not None
        is_few = self.name.isdigit() and self.kinds <= 10 and (self.largest or 99) <= 5
        return is_few or (has_name and (self.largest or 99) <= 10)

    @property
    def liked_from(self) -> float:
        """The number of stars that says that a track is liked: four of five."""
        return 4.0 if (self.largest or 0) <= 5 else 8.0

    @property
    def scale(self) -> float:
        """The seconds of a unit of time that was heard; 1 of what is no time."""
        words = re.split("[^a-z]+", self.name.lower())
        scales = [seconds for unit, seconds in _SECONDS.items() if unit in words]
        is_other = scales and is_time_heard(self.name) and not self.is_clock
        return scales[0] if is_other else 1.0

    @property
    def plain_number(self) -> str:
        """The values in SQL, with a point for decimals, and seconds of 3:25."""
        if self.is_clock:
            parts = f"TRY_CAST(string_split(\"{self.name}\", ':') AS DOUBLE[])"
            return f"list_reduce({parts}, lambda total, part : 60 * total + part)"
        swaps = {None: "", "comma": ", ',.', '.'", "point": ", ',', ''"}
        name = f'"{self.name}"'
        return f"translate({name}{swaps[self.decimal]})" if self.decimal else name

    def misfit(self, role: str, least: float = _FILLED) -> str | None:
        """Explain why the values cannot be what a role says, of so large a share of the rows."""
        example = self.example[:20]
        if role in _TEXTS:  # of artists, ids do
            return "numbers" if role == "title" and self.is_number else None
        if self.filled < least:
            return f"{1 - self.filled:.0%} of the rows have none"
        if role == "timestamp":
            return None if self.is_time else f"{example} is neither date nor moment"
        if role in (EVENT, SKIPPED, "organic"):
            most = _MOST_EVENTS if role == EVENT else 2
            is_kind = self.kinds <= most and not (role == EVENT and self.is_number)
            return None if is_kind else f"{self.kinds:,} different values"
        if role in _IDS:
            return None
        if not self.is_number:
            return f"{example} is no number"
        if self.is_clock and (self.largest or 0) > _LONGEST_TRACK:
            return f"{example} is a time of the day"
        if role == "weight" and self.kinds == 1:
            return f"always {example}"
        if (self.smallest or 0) < 0 or (role == "share" and (self.largest or 0) > 100):
            return f"{self.smallest:g} to {self.largest:g}"
        return None


def _letters(name: str) -> str:
    name = name.lower().partition(":")[0].replace("uuid", "id")
    if "[]" in name:  # lists have names in the plural
        name = name.rstrip("[]").rstrip("s")
    return "".join(filter(str.isalnum, name)).replace("milliseconds", "ms")


def is_value(name: str) -> bool:
    """Whether the name of a column looks like a value, so that there are no names."""
    return _VALUE.fullmatch(name) is not None


def is_time_heard(name: str) -> bool:
    """Whether a column is named as one of how long a track was heard."""
    names = (*NAMES["played"], *_SECONDS, "seconds")
    return _letters(name).endswith(names)


def date_forms(columns: Iterable[Column]) -> list[str]:
    """List the forms of dates in which an example of some column is written."""
    forms = [
        date + (between + time if time else "")
        for date in _DATES
        for time in (_TIMES if "%H" not in date else ("",))
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
    columns = [*columns]
    is_long = max((column.kinds for column in columns), default=0) >= _MANY_KINDS
    if role == "item" and is_long:  # what is the same in all rows is no track
        columns = [column for column in columns if column.kinds > 1]
    plain = {column.letters: column for column in columns}
    for letters, column in list(plain.items()):
        plain.setdefault(_UNIT.sub("", letters), column)
        plain.setdefault(_letters(column.name.rpartition(".")[2]), column)
    for least in (_FILLED, _HALF) if role in ("user", "item") else (_FILLED,):
        for name in NAMES[role]:
            for letters, column in plain.items():
                is_end = len(name) >= _SHORTEST_END and letters.endswith(name)
                fits = not check or column.misfit(role, least) is None
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
        if role in roles or role in (EVENT, PLAYS, SKIPPED) or not has_names:
            continue
        used = {part for name in roles.values() for part in name.split("+")}
        if role in _TEXTS:  # an id may be a title too
            used -= {*roles.get("item", "").split("+")}
        column = find(role, (free for free in columns if free.name not in used))
        if column:
            roles[role] = column.name
    kinds = {column.name: column.kinds for column in columns}
    session = roles.get("session", "")
    if "session" not in named and kinds.get(session, 0) <= kinds.get(
        roles.get("user", ""), 0
    ):
        roles.pop("session", None)  # it is as long as a listener's life
    dates = [c.name for c in columns if c.is_time and not c.is_number]
    if dates and "timestamp" not in roles:
        roles["timestamp"] = dates[0]
    clock = next((c for c in columns if c.letters == "time" and c.is_clock), None)
    if clock and roles.get("timestamp") not in (None, clock.name):
        roles["timestamp"] += f"+{clock.name}"
    has_share = "share" in roles or roles.keys() >= {"played", "duration"}
    has_order = "timestamp" in roles or "session" in roles
    if has_share and has_order and not {"weight", "event"} & named.keys():
        left_out = {"weight"} | ({"played", "duration"} if "share" in roles else set())
    else:
        amounts = [roles.get(role, "") for role in ("weight", "played", "share")]
        roles["weight"] = next(filter(None, amounts), "")
        if "event" in roles:
            roles["weight"] = ""
        left_out = {"share", "played", "duration", "organic"}
        left_out |= {"position"} if "timestamp" in roles else set()
    return {role: name for role, name in roles.items() if name and role not in left_out}


def _guess_by_values(columns: Sequence[Column]) -> dict[str, str]:
    """Guess columns without names: listener, track, a number that weighs, and a time."""
    times = [column.name for column in columns if column.is_time]
    rest = [column for column in columns if column.name not in times]
    weights = [column.name for column in rest[2:] if column.misfit("weight") is None]
    names = [*(column.name for column in rest[:2]), *weights[:1]]
    roles = dict(zip(("user", "item", "weight"), names, strict=False))
    return roles | ({"timestamp": times[0]} if times else {})


def recognize_rows(columns: Sequence[Column]) -> str | None:
    """Find the published data set that a table without names is of, by its values."""
    if len(columns) == 6 and columns[0].example.startswith("user_00"):
        return "lastfm-1k"
    is_number = [column.is_number for column in columns]
    is_lastfm = is_number == 4 * [False] and _LASTFM_DATE.match(columns[-1].example)
    return "lastfm" if is_lastfm else None


def explain_unused(
    names: Iterable[str], columns: Iterable[Column], reading: Reading
) -> list[str]:
    """List the columns that are not used, and why not where they look of use."""
    sql = " ".join([reading.where or "", *reading.computed.values()])
    words = {word.strip('"') for word in re.findall('"[^"]+"|\\w+', sql)}
    used = reading.columns.names | words
    profiles = {column.name: column for column in columns}
    unused = []
    for name in names:
        if name not in used:
            column = profiles.get(name)
            reason = column and _why_unused(column, reading.columns.by_role)
            unused.append(f"{name} ({reason})" if reason else name)
    return unused


def _why_unused(column: Column, roles: Mapping[str, str]) -> str | None:
    """Explain why a column that looks of use is not used."""
    for look, candidates in _LOOKS.items():
        named = [role for role in candidates if find(role, [column], check=False)]
        looks_so = {"a time": column.is_time, "an amount": column.is_clock}.get(look)
        if named or looks_so:
            taken = [roles[role] for role in candidates if role in roles]
            reason = column.misfit((named or candidates)[0])
            reason = reason or (f"{taken[0]} is taken" if taken else "of no known use")
            return f"{look}: {reason}"
    return None
