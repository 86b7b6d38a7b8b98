"""Guess what the columns of a file hold from their names and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from analysis.plays.source import Column

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
    "a time": ("played_at",),
    "an amount": ("weight", "share", "played", "duration"),
    "a listener": ("listener",),
    "an event": (EVENT,),
    "a skip": (SKIPPED, "weight", "share", "played"),
}
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
_IDS = {"listener", "track", "session"}
_TEXTS = {"title", "artist"}


def letters(name: str) -> str:
    """Return a name in lower case, without punctuation and what RecBole says of its type."""
    name = name.lower().partition(":")[0].replace("uuid", "id")
    return "".join(filter(str.isalnum, name)).replace("milliseconds", "ms")


def is_rating(column: Column) -> bool:
    """Whether the values are stars, such as 1 to 5."""
    largest = column.largest or 99
    is_few = column.name.startswith("column") and column.kinds <= 10 and largest <= 5
    has_name = _RATING.search(letters(column.name)) is not None
    return is_few or (has_name and largest <= 10)


def liked_from(column: Column) -> float:
    """Return the number of stars that says that a track is liked: four of five."""
    return 4.0 if (column.largest or 0) <= 5 else 8.0


def is_time_heard(name: str) -> bool:
    """Whether a column is named as one of how long a track was heard."""
    names = (*NAMES["played"], *_SECONDS, "seconds")
    return letters(name).endswith(names)


def scale(column: Column) -> float:
    """Return the seconds of a unit of time that was heard; 1 of what is no time."""
    words = re.split("[^a-z]+", column.name.lower())
    scales = [seconds for unit, seconds in _SECONDS.items() if unit in words]
    is_other = scales and is_time_heard(column.name) and not column.is_clock
    return scales[0] if is_other else 1.0


def misfit(column: Column, role: str, least: float = _FILLED) -> str | None:
    """Explain why values cannot be what a role says, of so large a share of the rows."""
    example = column.example[:20]
    if role in _TEXTS:  # of artists, ids do
        return "numbers" if role == "title" and column.is_number else None
    if column.filled < least:
        return f"{1 - column.filled:.0%} of the rows have none"
    if role == "played_at":
        is_time = column.is_time or column.forms
        return None if is_time else f"{example} is neither date nor moment"
    if role in (EVENT, SKIPPED, "organic"):
        most = _MOST_EVENTS if role == EVENT else 2
        is_kind = column.kinds <= most and not (role == EVENT and column.is_number)
        return None if is_kind else f"{column.kinds:,} different values"
    if role in _IDS:
        return None
    if not column.is_number:
        return f"{example} is no number"
    if column.is_clock and (column.largest or 0) > _LONGEST_TRACK:
        return f"{example} is a time of the day"
    if role == "weight" and column.kinds == 1:
        return f"always {example}"
    smallest, largest = column.smallest or 0, column.largest or 0
    if smallest < 0 or (role == "share" and largest > 100):
        return f"{smallest:g} to {largest:g}"
    return None


def find(role: str, columns: Iterable[Column], *, check: bool = True) -> Column | None:
    """Find the column with the first of a role's names, or whose name ends so, and that fits."""
    columns = [*columns]
    is_long = max((column.kinds for column in columns), default=0) >= _MANY_KINDS
    if role == "track" and is_long:  # what is the same in all rows is no track
        columns = [column for column in columns if column.kinds > 1]
    plain = {letters(column.name): column for column in columns}
    for name, column in list(plain.items()):
        plain.setdefault(_UNIT.sub("", name), column)
        plain.setdefault(letters(column.name.rpartition(".")[2]), column)
    for least in (_FILLED, _HALF) if role in ("listener", "track") else (_FILLED,):
        for name in NAMES[role]:
            for written, column in plain.items():
                is_end = len(name) >= _SHORTEST_END and written.endswith(name)
                fits = not check or misfit(column, role, least) is None
                if fits and (name == written or is_end):
                    return column
    return None


def guess_roles(
    columns: Sequence[Column], named: Mapping[str, str], *, has_names: bool = True
) -> dict[str, str]:
    """Guess the columns that the owner has not named; by their values if none has a name."""
    columns = [c for c in columns if c.kinds and not c.kind.endswith("[]")]
    roles = {} if has_names else _guess_by_values(columns)
    roles |= named
    for role in NAMES:
        if role in roles or role in (EVENT, PLAYS, SKIPPED) or not has_names:
            continue
        used = {part for name in roles.values() for part in name.split("+")}
        if role in _TEXTS:  # an id may be a title too
            used -= {*roles.get("track", "").split("+")}
        column = find(role, (free for free in columns if free.name not in used))
        if column:
            roles[role] = column.name
    kinds = {column.name: column.kinds for column in columns}
    session = kinds.get(roles.get("session", ""), 0)
    if "session" not in named and session <= kinds.get(roles.get("listener", ""), 0):
        roles.pop("session", None)  # it is as long as a listener's life
    dates = [c.name for c in columns if c.forms or (c.is_time and not c.is_number)]
    if dates and "played_at" not in roles:
        roles["played_at"] = dates[0]
    clock = next((c for c in columns if letters(c.name) == "time" and c.is_clock), None)
    if clock and roles.get("played_at") not in (None, clock.name):
        roles["played_at"] += f"+{clock.name}"
    has_share = "share" in roles or roles.keys() >= {"played", "duration"}
    has_order = "played_at" in roles or "session" in roles
    if has_share and has_order and not {"weight", "seconds"} & named.keys():
        left_out = {"weight"} | ({"played", "duration"} if "share" in roles else set())
    else:
        if not {"weight", "seconds"} & named.keys():
            roles.setdefault("weight", roles.get("played") or roles.get("share") or "")
            if is_time_heard(roles["weight"]):
                roles["seconds"] = roles.pop("weight")
        left_out = {"share", "played", "duration", "organic"}
        left_out |= {"position"} if "played_at" in roles else set()
    return {role: name for role, name in roles.items() if name and role not in left_out}


def _guess_by_values(columns: Sequence[Column]) -> dict[str, str]:
    """Guess columns without names: listener, track, a number that weighs, and a time."""
    times = [column.name for column in columns if column.is_time or column.forms]
    rest = [column for column in columns if column.name not in times]
    weights = [column.name for column in rest[2:] if misfit(column, "weight") is None]
    names = [*(column.name for column in rest[:2]), *weights[:1]]
    roles = dict(zip(("listener", "track", "weight"), names, strict=False))
    return roles | ({"played_at": times[0]} if times else {})


def explain_unused(
    columns: Iterable[Column], used: set[str], roles: Mapping[str, str]
) -> list[str]:
    """List the columns that are not used, and why not where they look of use."""
    unused = []
    for column in columns:
        if column.name not in used:
            reason = column.kinds and _why_unused(column, roles)
            unused.append(f"{column.name} ({reason})" if reason else column.name)
    return unused


def _why_unused(column: Column, roles: Mapping[str, str]) -> str | None:
    """Explain why a column that looks of use is not used."""
    for look, candidates in _LOOKS.items():
        named = [role for role in candidates if find(role, [column], check=False)]
        looks_so = {"a time": column.is_time, "an amount": column.is_clock}.get(look)
        if named or looks_so:
            taken = [roles[role] for role in candidates if role in roles]
            reason = misfit(column, (named or candidates)[0])
            reason = reason or (f"{taken[0]} is taken" if taken else "of no known use")
            return f"{look}: {reason}"
    return None
