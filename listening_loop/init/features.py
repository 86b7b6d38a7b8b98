"""Propose columns of tracks as features, and write the query of the catalogue that has them."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import yaml

from analysis.plays.draft import Draft
from analysis.plays.source import Column
from listening_loop.init.guess import words_of

# the kind of each feature, and names of columns
_FEATURES: Mapping[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("features.yaml").read_text(encoding="utf-8")
)
_FEWEST = 0.1  # share of the rows that have a value
_AGREE = 0.95  # share of the tracks that have a single value


def propose_features(draft: Draft) -> tuple[dict[str, str], str]:
    """Propose features among the columns that the plays do not need.

    Args:
        draft: The query of the plays.

    Returns:
        Kinds of features by name, and the query of the tracks with these columns; "" without any.
    """
    features: dict[str, str] = {}
    if "track" not in draft.sources:  # a name of a file
        return features, ""
    notes = []
    items = [f"    {draft.items['track'][0]} AS track"]
    for name in ("title", "artist"):
        if name in draft.items:
            items.append(f"    min({draft.items[name][0]}) AS {name}")
    for column in draft.rows.columns:
        name, kind = _recognize(column.name)
        if not kind or column.name in draft.used or name in features:
            continue
        if reason := _refuse(draft, column, kind):
            notes.append(f"-- {column.name} is left out: {reason}")
            continue
        if any("|" in text for text in column.examples):
            kind = "categories"
        features[name] = kind
        draft.used.add(column.name)
        value = column.number if kind == "number" else column.sql
        items.append(f"    min({value}) AS {name}")
    if not features:
        return features, ""
    where = [f"WHERE {draft.where}"] if draft.conditions else []
    source = f"FROM {draft.rows.source}"
    lines = [*notes, "SELECT", ",\n".join(items), source, *where, "GROUP BY 1", ""]
    return features, "\n".join(lines)


def _recognize(column: str) -> tuple[str, str]:
    """Look up the feature that a column may be, and its kind; "" if it has no such name."""
    words = words_of(column)
    ends = {"".join(words[start:]) for start in range(len(words))}
    for name, (kind, *names) in _FEATURES.items():
        if ends & {*names}:
            return name, kind
    return "", ""


def _refuse(draft: Draft, column: Column, kind: str) -> str:
    """Return the reason why a column is no feature of tracks; "" if it is a feature."""
    if column.filled < _FEWEST:
        return f"{column.filled:.0%} of the plays have it"
    if column.kinds == 1:
        return "it is constant"
    if kind == "number" and not column.is_number:
        return "it is no number"
    if kind == "date" and not column.is_date:
        return "its dates are not such as 2014-05-01"
    values: dict[tuple[str | None, ...], set[str]] = defaultdict(set)
    for *track, value in draft.rows.values(*draft.sources["track"], column):
        if value is not None:
            values[tuple(track)].add(value)
    counts = [*map(len, values.values())]
    agreed = counts.count(1) / len(counts)
    if agreed < _AGREE:
        return f"{1 - agreed:.0%} of the tracks have several values"
    return ""
