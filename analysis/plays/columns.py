"""Name the columns that a query of plays may return, told once for docs, errors and checks."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.errors import AnalysisError

_NUMBER = r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*"
_TEXT = '|VARCHAR|JSON|"NULL"'  # is read as the kind that is expected
# types that a kind of column may have, and a hint for others
_KINDS = {
    "id": (
        r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|UUID|ENUM.*" + _TEXT,
        "ids are whole numbers or text (in pandas, a gap makes whole numbers DOUBLE, and "
        "astype('Int64') INTEGER)",
    ),
    "time": (
        "TIMESTAMP.*|DATE" + _TEXT,
        "a time is expected: write to_timestamp({0}) for seconds since 1970, epoch_ms({0}) for "
        "milliseconds, make_timestamp({0}) for microseconds, strptime for other dates",
    ),
    "number": (_NUMBER + _TEXT, "a number is expected"),
    "flag": ("BOOLEAN|" + _NUMBER + _TEXT, "true or false is expected"),
    "text": (".*", ""),
}


@dataclass(frozen=True)
class PlayColumn:
    """A column that a query of plays may return."""

    stored: str  # its name among the columns of a store
    kind: str
    meaning: str


COLUMNS: Mapping[str, PlayColumn] = {
    "listener": PlayColumn(
        "user", "id", "who played, a whole number or text, required"
    ),
    "track": PlayColumn("item", "id", "what, a whole number or text, required"),
    "seconds": PlayColumn("seconds", "number", "how long it was heard, 0 to 1e15"),
    "weight": PlayColumn(
        "weight", "number", "how much the play counts, 0 to 1e15, 1 by default"
    ),
    "played_at": PlayColumn(
        "timestamp",
        "time",
        "when, from 1970: a TIMESTAMP, in UTC, a TIMESTAMPTZ, or text that begins with the year",
    ),
    "session": PlayColumn(
        "session", "text", "its name, by default, half an hour of silence ends it"
    ),
    "share": PlayColumn("share", "number", "share of the track that was heard, 0 to 1"),
    "position": PlayColumn(
        "position",
        "number",
        "order of a listener's plays without times, or of equal times, whole",
    ),
    "organic": PlayColumn(
        "organic", "flag", "true if the listener chose the track, which opens a session"
    ),
    "disliked": PlayColumn(
        "disliked",
        "flag",
        "true if the listener said so, as by a thumb, never by a skip",
    ),
    "propensity": PlayColumn(
        "propensity",
        "number",
        "probability of the recommendation, above 0 to 1, if it is known",
    ),
    "title": PlayColumn("", "text", "of the track, for reports and exports"),
    "artist": PlayColumn("", "text", "of the track, for reports and exports"),
}
AMOUNTS = ("seconds", "weight", "share")
# names that were taken by earlier versions, and that callers of other libraries know
ALIASES = {"user": "listener", "item": "track", "timestamp": "played_at"}


def check_columns(types: Mapping[str, str], query: str) -> None:
    """Refuse a result with missing, unknown or contradictory columns.

    Args:
        types: The types of the query's columns.
        query: The name of the query.

    Raises:
        AnalysisError: A column is missing or unknown, or is of another type.
    """
    check_names(types, query)
    for name, kind in types.items():
        allowed, hint = _KINDS[COLUMNS[name].kind]
        if not re.fullmatch(allowed, kind):
            raise AnalysisError(
                f"{query}: {name} is of type {kind}; {hint.format(name)}"
            )


def check_names(names: Iterable[str], query: str) -> None:
    """Refuse columns of plays that are unknown, missing, or do not go together.

    Raises:
        AnalysisError: They are.
    """
    names = [*names]
    for name in names:
        if name not in COLUMNS:
            nearest = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0)[0]
            raise AnalysisError(
                f"{query}: column {name} is unknown; the nearest is {nearest}, of "
                f"{', '.join(COLUMNS)}"
            )
    amounts = [name for name in AMOUNTS if name in names]
    missing = [name for name in ("listener", "track") if name not in names]
    is_play = "share" in names
    faults = {
        f"no column {' and no '.join(missing)}; a play has both": missing,
        f"{' and '.join(amounts)} say how much was heard; return one": amounts[1:],
        "a share needs played_at or session; return it as weight if it is an interaction": is_play
        and not {"played_at", "session"} & {*names},
        "organic and propensity belong to plays with a share": not is_play
        and {"organic", "propensity"} & {*names},
    }
    if fault := next((text for text, is_one in faults.items() if is_one), None):
        raise AnalysisError(f"{query}: {fault}")


def stored_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Name the columns of the plays of a store, by the columns of a query.

    >>> stored_columns(["listener", "track", "share", "played_at", "position"])
    ('user', 'item', 'timestamp', 'share')
    """
    names = {*names}
    left_out = {"position"} if names & {"played_at", "share"} else set()
    columns = (
        column.stored
        for name, column in COLUMNS.items()
        if name in names - left_out and column.stored
    )
    return tuple(columns)
