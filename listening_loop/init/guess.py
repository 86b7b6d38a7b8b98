"""Guess the roles of columns by names and values, and write the query that reads a file.

Rules about values come before names: a constant says nothing, a number that each row of a track
shares is the track's, an id is no amount, and a column that could be two things is a question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import yaml

from analysis.plays.draft import Draft, take_named
from analysis.plays.query import quoted
from analysis.plays.source import Column, FirstRows

# names of columns by role, words of values, and weights of events that are no plays
NAMES: Mapping[str, list[str]]
WORDS: Mapping[str, list[str]]
WEIGHTS: Mapping[str, float]
NAMES, WORDS, WEIGHTS = yaml.safe_load_all(
    Path(__file__).with_name("names.yaml").read_text(encoding="utf-8")
)
_TEXTS = {"title", "artist", "event"}  # roles that a column may have beside another
_MANY = 50  # rows, of which a column without any difference says nothing
_MOST_KINDS = 100  # different values of a column of events
_FEW_KINDS = 10  # the same of stars and thumbs
_FILLED = 0.95  # share of the rows that have a value
_HALF = 0.5  # the same of ids, whose rows are left out otherwise
_HEARD = 30  # seconds from which a play counts
_LONG = 5_000  # a median of seconds that no track lasts, so they are milliseconds
_LONGEST_TRACK = 6 * 3600  # seconds; a longer time is one of the day
_MOST_PERCENT = 150  # a track is sometimes heard beyond its end
_DEEPEST = 3  # lists in lists
Check = Callable[[Column], bool]


def draft_query(rows: FirstRows, named: Mapping[str, str], file: str) -> Draft:
    """Write the query of a file.

    Args:
        rows: The first rows.
        named: Columns that the owner names, by the columns of the result.
        file: The name of the file in messages.

    Returns:
        The query, which has questions where columns could be several things.

    Raises:
        AnalysisError: A named column is missing.
    """
    draft = Draft(rows)
    if not named:
        unnest(rows)
    take_named(draft, named, file)
    if (
        len(rows.columns) > 1
        and not named
        and all(re.fullmatch(r"column\d+", c.name) for c in rows.columns)
    ):
        take_by_order(draft)
    take_plays(draft)
    take_listener(draft)
    take_track(draft)
    take_time(draft)
    take_amount(draft)
    for name in ("listener", "track", "played_at"):
        for column in draft.sources.get(name, ()):
            if column.filled < 1:
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
    """Rank the roles of a column by the last words of its name; the longest match wins."""
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
    """List the columns that may have a role and fit, the likeliest first."""
    columns = [c for c in free_columns(draft) if role in ranks(c.name) and check(c)]
    return sorted(columns, key=lambda column: ranks(column.name)[role])


def find(draft: Draft, role: str, check: Check = lambda _: True) -> Column | None:
    """Find the likeliest column that may have a role and fits."""
    return next(iter(find_all(draft, role, check)), None)


def free_columns(draft: Draft) -> list[Column]:
    """List the columns that are not used and differ between rows."""
    is_short = draft.rows.row_count < _MANY
    return [
        column
        for column in draft.rows.columns
        if column.name not in draft.used
        and (is_short or column.kinds > 1 or "artist" in ranks(column.name))
    ]


def is_filled(column: Column) -> bool:
    """Whether most rows have a value; others are left out."""
    return column.filled >= _HALF


def is_amount(column: Column) -> bool:
    """Whether nearly all values are numbers from 0 on, and no times of the day."""
    return (
        column.is_number
        and column.filled >= _FILLED
        and (column.smallest or 0) >= 0
        and not (column.is_clock and (column.largest or 0) > _LONGEST_TRACK)
    )


def unnest(rows: FirstRows) -> None:
    """Make a row of each element of the list that has the tracks."""
    for _ in range(_DEEPEST):
        draft = Draft(rows)
        tracks = find_all(draft, "track") + find_all(draft, "title")
        if not tracks or any("[]" not in column.name for column in tracks):
            return
        paths = {column.name.partition("[]")[0] for column in tracks}
        names = [column.name for column in rows.columns]
        values = {name.removesuffix("[]") for name in names if name.endswith("[]")}
        if paths <= values:  # lists that stand side by side
            paths = values
        elif len(paths) > 1:
            return
        rows.unnest(sorted(paths))


def take_by_order(draft: Draft) -> None:
    """Take listener, track, a number that weighs, and a time of a file without names."""
    listener, track, *rest = draft.rows.columns
    roles = {"played_at" if column.time else "weight": column for column in rest}
    if len(roles) < len(rest) or not all(column.is_number for column in rest):
        return
    draft.take("listener", listener, comment="by its place")
    draft.take("track", track, comment="by its place")
    for role, column in roles.items():
        if role == "weight":
            take_weight(draft, column, is_stars=True)
        else:
            draft.take(role, column)


def take_plays(draft: Draft) -> None:
    """Find the rows that are plays, if a column has the kinds of rows."""
    for name in [column.name for column in find_all(draft, "event")]:
        column = next((c for c in draft.rows.columns if c.name == name), None)
        if column is None or not 1 < column.kinds <= _MOST_KINDS:
            continue
        track = find(draft, "track") or find(draft, "title")
        is_tracks = track is not None and draft.rows.is_property(column, track)
        weights = {} if is_tracks else event_weights(column.examples)
        kinds = play_kinds(draft, column, is_tracks=is_tracks) or [*weights]
        if kinds:
            draft.used.add(name)
            texts = ", ".join(map(quoted, kinds))
            is_taken = f"= {texts}" if len(kinds) == 1 else f"IN ({texts})"
            draft.keep(f"{column.sql} {is_taken}", f"of {column.kinds} kinds of rows")
            draft.rows.load(draft.where)
        elif is_tracks and words_of(name)[-1] in ("type", "kind"):
            shown = ", ".join(column.examples[:9])
            draft.ask(f"which rows are of tracks: {name} is one of {shown}")
        if weights and kinds == [*weights]:
            cases = " ".join(f"WHEN {quoted(k)} THEN {w}" for k, w in weights.items())
            draft.items["weight"] = f"CASE {column.sql} {cases} END", ""


def play_kinds(draft: Draft, column: Column, *, is_tracks: bool) -> list[str]:
    """List the kinds of rows that are plays, each play once; none if no kind says so."""

    def saying(word: str) -> list[str]:
        return [k for k in column.examples if {*words_of(k)} & {*WORDS[word]}]

    if is_tracks:
        return saying("tracks")
    starts, ends, undone = map(saying, ("starts", "ends", "undone"))
    plays = [kind for kind in saying("plays") if kind not in undone]
    if starts and ends:
        plays = plays or starts + ends
    amount = find(draft, "seconds") or find(draft, "share")
    if amount:
        pairs = draft.rows.values(column, amount)
        filled = {k: [bool(value) for kind, value in pairs if kind == k] for k in plays}
        return [k for k in plays if sum(filled[k]) >= _FILLED * len(filled[k])] or plays
    return (
        [kind for kind in plays if kind not in ends] if {*starts} & {*plays} else plays
    )


def event_weights(kinds: Sequence[str]) -> dict[str, float]:
    """Weigh kinds of events; none if fewer than two are known."""
    weights = {
        kind: next((w for word, w in WEIGHTS.items() if word in kind.lower()), 0)
        for kind in kinds
        if not {*words_of(kind)} & {*WORDS["undone"]}
    }
    weights = {kind: weight for kind, weight in weights.items() if weight}
    return weights if len(weights) > 1 else {}


def take_listener(draft: Draft) -> None:
    """Find who listened; ask if columns name different people."""
    if "listener" in draft.items:
        return
    columns = find_all(draft, "listener", is_filled) or find_all(draft, "list")
    if not columns:
        if place := draft.rows.place:
            take_named(draft, {"listener": place}, "")
        else:
            draft.ask("which column is the listener", "listener")
        return
    together = len({*draft.rows.values(*columns)})
    if any(len({*draft.rows.values(column)}) < together for column in columns):
        names = " or ".join(column.name for column in columns)
        draft.ask(f"which column is the listener: {names}", "listener")
    else:
        draft.take("listener", columns[0])


def take_track(draft: Draft) -> None:
    """Find tracks by their ids, or else by artist and title."""
    if "track" not in draft.items and (column := find(draft, "track", is_filled)):
        draft.take("track", column)
    name = find(draft, "title")
    title = find(draft, "title", lambda c: not c.is_number)
    artist = find(draft, "artist")
    is_id = not title and name and artist and draft.rows.is_property(artist, name)
    parts = [column for column in (not is_id and artist, title or name) if column]
    if "track" not in draft.items and parts:
        draft.take("track", *parts)
    elif "track" not in draft.items:
        draft.ask("which column is the track", "track")
    for role, column in {"title": title, "artist": artist}.items():
        if column and role not in draft.items:
            draft.take(role, column)


def take_time(draft: Draft) -> None:
    """Find when tracks were played, or in which order, and in which sessions."""
    named = find_all(draft, "played_at", lambda c: is_filled(c) and not c.is_clock)
    moments = [
        column
        for column in free_columns(draft)
        if column.time
        and (not column.is_number or column.is_moment)
        and column.kinds > _HALF * draft.rows.row_count * column.is_number
    ]
    times = [column for column in named if column.time][:1] or moments
    position = find(draft, "position", lambda c: c.is_number)
    if {"played_at", "position"} & draft.items.keys():
        pass
    elif len(times) == 1:
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
    listeners = draft.sources.get("listener", ())
    if session and listeners and session.kinds > listeners[0].kinds:
        draft.take("session", session)


def take_moment(draft: Draft, column: Column) -> None:
    """Take a time, with the clock beside a date; ask if its form could be another."""
    moments = {
        tuple(datetime.strptime(text, form) for text in column.examples)  # noqa: DTZ007  is compared
        for form in column.forms
    }
    if len(moments) > 1:
        forms = " or ".join(
            f"strptime({column.sql}, '{form}')" for form in column.forms
        )
        draft.ask(f"of what form is {column.name}: {forms}", "played_at")
        return
    clocks = [
        c
        for c in draft.rows.columns
        if c.is_clock and words_of(c.name)[-1] in WORDS["clocks"]
    ]
    has_clock = column.is_number or ":" in column.examples[0]
    draft.take("played_at", column, *([] if has_clock else clocks[:1]))


def take_amount(draft: Draft) -> None:
    """Find how much was heard, or how much a row weighs."""
    items = draft.items
    if {"seconds", "share", "weight"} & items.keys():
        return
    share = find(
        draft, "share", lambda c: is_amount(c) and (c.largest or 0) <= _MOST_PERCENT
    )
    heard = find(draft, "seconds", is_amount)
    length = find(draft, "length", is_amount)
    weight = find(
        draft,
        "weight",
        lambda c: c.filled >= _FILLED and "skip" not in words_of(c.name),
    )
    track, _ = items["track"]
    tracks = [c for c in draft.rows.columns if c.sql in track]
    if (
        length
        and not heard
        and not any(draft.rows.is_property(length, c) for c in tracks)
    ):
        heard, length = length, None
    is_ordered = {"played_at", "session"} & items.keys()
    if share and is_ordered:
        draft.take("share", share)
    elif heard and length and is_ordered:
        draft.used |= {heard.name, length.name}
        ratio = f"{heard.number} / nullif({length.number}, 0)"
        items["share"] = f"least({ratio}, 1)", ""
    elif heard:
        take_heard(draft, heard)
    elif weight:
        take_weight(draft, weight)
    elif share:
        items["weight"] = share.number, ""
    elif skipped := find(draft, "skipped", lambda c: c.kinds == 2):
        draft.keep(f"lower(CAST({skipped.sql} AS VARCHAR)) NOT IN ('true', '1')")
    organic = find(draft, "organic", lambda c: c.kinds == 2)
    if organic and "share" in items:
        draft.take("organic", organic)


def take_heard(draft: Draft, column: Column) -> None:
    """Take how long was heard in seconds, whatever the unit, and leave out short plays."""
    draft.take("seconds", column)
    words, least = {*words_of(column.name)}, float(_HEARD)
    if {"min", "minutes"} & words and not column.is_clock:
        draft.items["seconds"] = f"{column.number} * 60", "minutes"
        least /= 60
    elif (column.middle or 0) > _LONG and not {"seconds", "secs", "sec"} & words:
        comment = f"milliseconds: the median is {column.middle:,.0f}"
        draft.items["seconds"] = f"{column.number} / 1000", comment
        least *= 1000
    draft.keep(f"{column.number} >= {least:g}", "shorter plays are left out")


def take_weight(draft: Draft, column: Column, *, is_stars: bool = False) -> None:
    """Take a count, stars from four of five, or likes."""
    draft.used.add(column.name)
    smallest, largest = column.smallest or 0, column.largest or 0
    is_few = column.kinds <= _FEW_KINDS
    is_rating = bool({"rating", "stars"} & {*words_of(column.name)})
    likes = [k for k in column.examples if {*words_of(k)} & {*WORDS["likes"]}]
    if not column.is_number:
        if likes and is_few:
            draft.keep(f"{column.sql} IN ({', '.join(map(quoted, likes))})", "liked")
    elif column.kinds <= 3 and smallest <= 0:
        draft.keep(f"{column.number} > 0", "liked")
    elif (is_stars or is_rating) and is_few and largest <= _FEW_KINDS:
        least = 4 if largest <= 5 else 8
        draft.keep(f"{column.number} >= {least}", "liked: four of five")
    elif smallest < 0 or is_rating:
        draft.ask(
            f"which values of {column.name} are liked, {smallest:g} to {largest:g}"
        )
    else:
        draft.take("weight", column)
