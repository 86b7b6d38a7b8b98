"""Read the usual lines of a log at once.

A usual line has the known keys alone, in order (`fields.usual_line`).

A log has very many lines and few shapes: a line's shape is the line without hexadecimal digits. One
line of each shape is matched with the pattern. Another line of that shape has the same keys and
kinds of values, or keys that are not known, or is not JSON, which DuckDB notices. It may have a
value out of its bounds, which is looked at afterwards.
"""

import re
from collections import Counter

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.logs.fields import (
    REQUIRED,
    IdKinds,
    database_types,
    schema_of,
    usual_line,
)
from analysis.logs.lines import LONGEST_LINE
from looplib.arrays import IntArray

_LINES_COMPARED = 1000  # at once; they stay in the processor's cache
_HEXADECIMAL = b"0123456789abcdfABCDF"  # without e, which makes a whole number a float


def read_usual(
    connection: queries.Connection, content: bytes, starts: IntArray, kinds: IdKinds
) -> pa.Table:
    """Return the events of usual lines and their positions; none if one is not as usual."""
    no_events = schema_of(kinds).append(pa.field("position", pa.int64())).empty_table()
    if np.diff(starts).max(initial=0) > LONGEST_LINE:
        return no_events
    others, expected = _find_others(content, starts, usual_line(kinds))
    buffers = pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(content)
    count = len(starts) - 1
    texts = pa.StringArray.from_buffers(count, *buffers)
    lines = pa.table({"line": texts, "position": np.arange(count)})
    if others:
        lines = lines.take(np.delete(np.arange(count), others))
    queries.attach_arrow(connection, "lines", lines)
    try:
        rows = queries.fetch_table(
            connection, "events/usual_lines", structure=database_types(kinds)
        )
    except queries.DataErrors:
        return no_events
    events = pa.Table.from_struct_array(rows["event"].combine_chunks())
    found = sum(len(events) - column.null_count for column in events.columns)
    if found != expected:
        return no_events
    return events.append_column("position", rows["position"])


def _find_others(
    content: bytes, starts: IntArray, pattern: re.Pattern[bytes]
) -> tuple[list[int], int]:
    """Find the lines that have not the shape of a usual one.

    Returns:
        Their positions, and the number of values in the usual lines.
    """
    others: list[int] = []
    expected = 0
    values_of: dict[bytes, int | None] = {}
    count = len(starts) - 1
    for first in range(0, count, _LINES_COMPARED):
        end = min(first + _LINES_COMPARED, count)
        piece = content[starts[first] : starts[end]].removesuffix(b"\n")
        shapes = piece.translate(None, _HEXADECIMAL).split(b"\n")
        has_others = False
        for shape, lines in Counter(shapes).items():
            if shape not in values_of:
                position = first + shapes.index(shape)
                line = content[starts[position] : starts[position + 1]]
                match = pattern.fullmatch(line.removesuffix(b"\n"))
                values_of[shape] = _count_values(match) if match else None
            values = values_of[shape]
            has_others |= values is None
            expected += lines * (values or 0)
        if has_others:
            positions = enumerate(shapes, start=first)
            others += [
                position for position, shape in positions if values_of[shape] is None
            ]
    return others, expected


def _count_values(match: re.Match[bytes]) -> int:
    return len(REQUIRED) + sum(value is not None for value in match.groups())
