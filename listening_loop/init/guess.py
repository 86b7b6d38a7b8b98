"""Guess by names and values what the columns of a file hold, and write the query that reads it.

Rules about values decide before names do: a constant is nothing, each row of a track has its
length, and a column that could be two things is a question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import yaml

from analysis.plays.draft import Draft, element_name, take_named
from analysis.plays.query import quoted
from analysis.plays.source import Column, FirstRows

# names of columns by what they hold, words of values, and weights of events that are no plays
NAMES: Mapping[str, list[str]]
WORDS: Mapping[str, list[str]]
WEIGHTS: Mapping[str, float]
NAMES, WORDS, WEIGHTS = yaml.safe_load_all(
    Path(__file__).with_name("names.yaml").read_text(encoding="utf-8")
)
_TEXTS = {"title", "artist", "event"}  # what a column may be beside something else
_MANY = 50  # rows, of which a column without any difference says nothing
_MOST_KINDS = 100  # different values of a column of events
_FILLED = 0.95  # share of the rows that have a value
_HALF = 0.5  # the same of ids, whose rows are left out otherwise
_HEARD = 30  # seconds from which a play counts
_LONG = 5_000  # a median of seconds that no track lasts, so they are milliseconds
_LONGEST_TRACK = 6 * 3600  # seconds; a longer time is one of the day
_MOST_UNNAMED = 4  # columns of a file without names
_DEEPEST = 3  # lists in lists
Check = Callable[[Column], bool]


def draft_query(rows: FirstRows, named: Mapping[str, str], file: str) -> Draft:
    """Write the query of a file.

    Args:
        rows: The first rows.
        named: Columns that the owner names.
        file: What messages call the file.

    Returns:
        The query, which has questions where columns could be several things.

    Raises:
        AnalysisError: A named column is missing.
    """
    draft = Draft(rows)
    if not named:
        unnest(rows)
    take_named(draft, named, file)
    if all(re.fullmatch(r"column\d+", column.name) for column in rows.columns):
        take_by_order(draft)
    take_plays(draft)
    take_ids(draft)
    take_time(draft)
    take_amount(draft)
    for name, (sql, _) in draft.items.items():
        column = next((c for c in rows.columns if c.sql in sql), None)
        if name in ("listener", "track", "played_at") and column and column.filled < 1:
            draft.keep(f"{column.sql} IS NOT NULL")
    return draft


def words_of(text: str) -> list[str]:
    """Split a name into words.

    >>> words_of("master_metadata_track_name"), words_of("Play Duration Milliseconds")
    (['master', 'metadata', 'track', 'name'], ['play', 'duration', 'ms'])
    >>> words_of("tracks[].artistName"), words_of("userUUID:token")
    (['track', 'artist', 'name'], ['user', 'id'])
    """
    text = re.sub(r"\.?(#text|@attr)|:.*", "", text)
    text = re.sub(r"s?\[\]", "", text).replace("UUID", "Id").replace("uuid", "id")
    text = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", text).lower()
    return re.findall(r"[^\W_]+", text.replace("milliseconds", "ms"))


@cache
def ranks(name: str) -> Mapping[str, tuple[int, int]]:
    """Rank what a column may hold by the last words of its name; the longest match wins."""
    words = words_of(name)
    ends = ["".join(words[start:]) for start in range(len(words))]
    matches = {
        role: next((end for end in ends if end in names), "")
        for role, names in NAMES.items()
    }
    longest = max(len(match) for role, match in matches.items() if role not in _TEXTS)
    return {
        role: (NAMES[role].index(match), len(words))
        for role, match in matches.items()
        if match and (role in _TEXTS or len(match) == longest)
    }


def find_all(draft: Draft, role: str, check: Check = lambda _: True) -> list[Column]:
    """List the columns that may hold something and fit, the likeliest first."""
    columns = [
        column
        for column in draft.rows.columns
        if role in ranks(column.name)
        and column.name not in draft.used
        and (column.kinds > 1 or role == "artist" or draft.rows.row_count < _MANY)
        and check(column)
    ]
    return sorted(columns, key=lambda column: ranks(column.name)[role])


def find(draft: Draft, role: str, check: Check = lambda _: True) -> Column | None:
    """Find the column that most likely holds something, and fits."""
    return next(iter(find_all(draft, role, check)), None)


def unnest(rows: FirstRows) -> None:
    """Make a row of each element of the list that has the tracks."""
    for _ in range(_DEEPEST):
        draft = Draft(rows)
        found = find_all(draft, "track") + find_all(draft, "title")
        if not found or any("[]" not in column.name for column in found):
            return
        paths = {column.name.partition("[]")[0] for column in found}
        names = [column.name for column in rows.columns]
        plain = {name.removesuffix("[]") for name in names if name.endswith("[]")}
        if paths <= plain:  # lists of values, which stand side by side
            paths = plain
        elif len(paths) > 1:
            return
        rows.unnest(sorted(paths))


def take_by_order(draft: Draft) -> None:
    """Take listener, track, a number that weighs, and a time of a file without names."""
    columns = [c for c in draft.rows.columns if c.name not in draft.used]
    rest = {"played_at" if c.time else "weight": c for c in columns[2:]}
    is_usual = len(rest) == len(columns) - 2 and all(c.is_number for c in columns[2:])
    if draft.items or not is_usual:
        return
    for role, column in {"listener": columns[0], "track": columns[1], **rest}.items():
        if role == "weight":
            take_weight(draft, column)
        else:
            draft.take(role, column, comment="by its order")


def take_plays(draft: Draft) -> None:
    """Find the rows that are plays, if a column says what a row is."""
    for name in [column.name for column in find_all(draft, "event")]:
        column = next((c for c in draft.rows.columns if c.name == name), None)
        track = find(draft, "track") or find(draft, "title")
        if column is None or not 2 <= column.kinds <= _MOST_KINDS:
            continue
        of_track = track is not None and draft.rows.is_property(column, track)
        if kinds := play_kinds(draft, column, of_track=of_track):
            is_single = len(kinds) == 1
            texts = ", ".join(map(quoted, kinds))
            draft.keep(
                f"{column.sql} = {texts}" if is_single else f"{column.sql} IN ({texts})"
            )
            draft.rows.load(draft.where)
        elif weights := event_weights(column.examples):
            cases = " ".join(f"WHEN {quoted(k)} THEN {w}" for k, w in weights.items())
            draft.items["weight"] = f"CASE {column.sql} {cases} END", "by the event"
            draft.keep(f"{column.sql} IN ({', '.join(map(quoted, weights))})")
        elif of_track and words_of(name)[-1] in ("type", "kind"):
            kinds = ", ".join(column.examples[:9])
            draft.ask(f"which rows have tracks: {name} is {kinds}")
        draft.used.add(name)


def play_kinds(draft: Draft, column: Column, *, of_track: bool) -> list[str]:
    """List the kinds of rows that are plays, each play once; none if no kind says so."""

    def said(word: str) -> list[str]:
        return [k for k in column.examples if {*words_of(k)} & {*WORDS[word]}]

    if of_track:
        return said("tracks")
    starts, ends, undone = said("starts"), said("ends"), said("undone")
    plays = [kind for kind in said("plays") if kind not in undone]
    plays = plays or (starts + ends if starts and ends else [])
    amount = find(draft, "seconds") or find(draft, "share")
    if amount:
        filled = {
            kind: rows_with_amount
            for kind, rows_with_amount in draft.rows.filled(amount, column).items()
        }
        return [kind for kind in plays if filled[kind] >= _FILLED] or plays
    if {*starts} & {*plays}:
        return [kind for kind in plays if kind not in ends]
    return plays


def event_weights(kinds: Sequence[str]) -> dict[str, float]:
    """Weigh kinds of events; none if fewer than two are known."""
    weights = {
        kind: weight
        for kind in kinds
        for word, weight in reversed(WEIGHTS.items())
        if word in kind.lower() and not {*words_of(kind)} & {*WORDS["undone"]}
    }
    return weights if len(weights) > 1 else {}


def take_ids(draft: Draft) -> None:
    """Find listeners and tracks, with titles and artists."""

    def is_filled(column: Column) -> bool:
        return column.filled >= _HALF

    if "listener" not in draft.items:
        columns = find_all(draft, "listener", is_filled) or find_all(draft, "list")
        sizes = {draft.rows.distinct(c): c for c in [*columns[1:], *columns[:1]]}
        if len(columns) > 1 and (
            len(sizes) > 1 or draft.rows.distinct(*columns) > next(iter(sizes))
        ):
            draft.ask(
                f"who is the listener: {' or '.join(c.name for c in columns)}",
                "listener",
            )
        elif columns:
            draft.take("listener", columns[0])
        elif place := draft.rows.place:
            take_named(draft, {"listener": place}, "")
        else:
            draft.ask("which column is the listener", "listener")
    if "track" not in draft.items and (column := find(draft, "track", is_filled)):
        draft.take("track", column)
    track = draft.items.get("track")
    title = find(draft, "title", lambda c: not c.is_number)
    artist = find(draft, "artist")
    for role, column in {"title": title, "artist": artist}.items():
        if column and role not in draft.items:
            draft.take(role, column)
    if track is None:
        song = find(draft, "title")
        parts = [c for c in (artist, title or song) if c]
        if parts:
            draft.take("track", *parts)
        else:
            draft.ask("which column is the track", "track")


def take_time(draft: Draft) -> None:
    """Find when tracks were played, or in which order."""
    items = draft.items
    if not {"played_at", "position"} & items.keys():
        named = find_all(
            draft, "played_at", lambda c: c.filled >= _HALF and not c.is_clock
        )
        times = [c for c in named if c.time] or [
            c
            for c in draft.rows.columns
            if c.time and c.kinds > 1 and c.name not in draft.used
            if not c.is_number
            or (c.kinds > _HALF * draft.rows.row_count and c.is_moment)
        ][:2]
        position = find(draft, "position", lambda c: c.is_number)
        if times and (times[0] in named or len(times) == 1):
            take_moment(draft, times[0])
        elif times:
            names = " or ".join(column.name for column in times)
            draft.ask(f"when was it played: {names}", "played_at")
        elif position:
            draft.take("position", position)
        elif named:
            values = ", ".join(named[0].examples[:3])
            draft.ask(f"of what unit is {named[0].name}, such as {values}", "played_at")
    session = find(draft, "session", lambda c: c.filled >= _FILLED)
    listener = next(
        (c for c in draft.rows.columns if c.sql == items["listener"][0]), None
    )
    if session and listener and session.kinds > listener.kinds:
        draft.take("session", session)


def take_moment(draft: Draft, column: Column) -> None:
    """Take a time, with the clock beside a date; ask if its form could be another."""
    moments = {
        tuple(datetime.strptime(e, f) for e in column.examples) for f in column.forms
    }  # noqa: DTZ007
    if len(moments) > 1:
        forms = " or ".join(
            f"strptime({column.sql}, '{form}')" for form in column.forms
        )
        draft.ask(f"of what form is {column.name}: {forms}", "played_at")
        return
    clock = next(
        (c for c in draft.rows.columns if c.is_clock and c.name == "time"), None
    )
    is_whole = any(":" in text or column.is_number for text in column.examples)
    draft.take("played_at", column, *([clock] if clock and not is_whole else []))


def take_amount(draft: Draft) -> None:
    """Find how much was heard, or how much a row weighs."""
    items, rows = draft.items, draft.rows
    if {"seconds", "share", "weight"} & items.keys():
        return

    def is_amount(column: Column) -> bool:
        return (
            column.is_number
            and column.filled >= _FILLED
            and (column.smallest or 0) >= 0
            and "skip" not in words_of(column.name)
        )

    share = find(draft, "share", lambda c: is_amount(c) and (c.largest or 0) <= 150)
    heard = find(
        draft,
        "seconds",
        lambda c: (
            is_amount(c) and not (c.is_clock and (c.largest or 0) > _LONGEST_TRACK)
        ),
    )
    length = find(draft, "length", is_amount)
    track = next((c for c in rows.columns if c.sql == items["track"][0]), None)
    track = track or find(draft, "title")
    if length and not heard and track and not rows.is_property(length, track):
        heard, length = length, None
    is_ordered = {"played_at", "session"} & items.keys()
    if share and is_ordered:
        draft.take("share", share)
        if (share.largest or 0) > 100:
            items["share"] = f"least({items['share'][0]}, 1)", "percent"
    elif heard and length and is_ordered:
        draft.used |= {heard.name, length.name}
        items["share"] = f"least({heard.number} / nullif({length.number}, 0), 1)", ""
    elif heard:
        take_heard(draft, heard)
    elif weight := find(
        draft,
        "weight",
        lambda c: c.filled >= _FILLED and "skip" not in words_of(c.name),
    ):
        take_weight(draft, weight)
    elif share:
        draft.take("weight", share)
    elif skipped := find(draft, "skipped", lambda c: c.kinds == 2):
        draft.keep(
            f"lower(CAST({skipped.sql} AS VARCHAR)) NOT IN ('true', '1')", "skipped"
        )
    organic = find(draft, "organic", lambda c: c.kinds == 2)
    if organic and "share" in items:
        draft.take("organic", organic)


def take_heard(draft: Draft, column: Column) -> None:
    """Take how long was heard in seconds, whatever the unit, and leave out short plays."""
    draft.take("seconds", column)
    words, unit = {*words_of(column.name)}, 1.0
    if {"min", "minutes"} & words and not column.is_clock:
        draft.items["seconds"] = f"{column.number} * 60", "minutes"
        unit = 60
    elif (column.middle or 0) > _LONG and not {"seconds", "secs", "sec"} & words:
        comment = f"milliseconds: half are above {column.middle:,.0f}"
        draft.items["seconds"] = f"{column.number} / 1000", comment
        unit = 0.001
    draft.keep(f"{column.number} >= {_HEARD / unit:g}", "shorter plays are left out")


def take_weight(draft: Draft, column: Column) -> None:
    """Take a count, stars from four of five, and what was liked."""
    draft.used.add(column.name)
    smallest, largest = column.smallest or 0, column.largest or 0
    is_stars = {"rating", "stars"} & {
        *words_of(column.name)
    } or column.name == "column2"
    if not column.is_number:
        likes = [k for k in column.examples if {*words_of(k)} & {*WORDS["likes"]}]
        if likes and column.kinds <= 10:
            draft.keep(f"{column.sql} IN ({', '.join(map(quoted, likes))})", "liked")
    elif column.kinds <= 3 and smallest <= 0:
        draft.keep(f"{column.number} > 0", "liked")
    elif is_stars and column.kinds <= 10 and largest <= 10:
        draft.keep(f"{column.number} >= {4 if largest <= 5 else 8}", "liked")
    elif smallest >= 0:
        draft.take("weight", column)
