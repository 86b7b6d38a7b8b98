"""Lines of any content are read as they are alone, or rejected for a reason."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.logs.field_types import IdKinds
from tests.analysis.logs.lines import COLUMNS, EVENT, START_MS, Load, outcome, text

tokens = st.sampled_from(
    (
        "0",
        "1",
        "7",
        "-0",
        "-1",
        "01",
        "+1",
        "9007199254740993",
        "0.5",
        "1.0",
        "7.5",
        "1.",
        ".5",
        "1e-7",
        "1e-17",
        "1e0",
        "1e3",
        "1e17",
        "1e18",
        "123456789e9",
        "1e400",
        "-1e400",
        "1e-400",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "9" * 23,
        '"7"',
        '"0.5"',
        '""',
        '"next"',
        '"last"',
        '"a"',
        '"\\u0041"',
        '"\\ud800"',
        '"a\\u0000b"',
        '"x,}"',
        '"NaN"',
        "true",
        "false",
        "null",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "-inf",
        "nul",
        "[]",
        "[1,]",
        "[[1]]",
        "{}",
        '{"b":"x","a":"y"}',
        '{"a":"x",}',
        '{"a":"x", "a":"y"}',
        '{"a":1}',
        '{"a":null}',
        '{"a":{}}',
        '{"\\u0061": "\\n"}',
        str(START_MS),
        f"{START_MS}.0",
        f"{START_MS}000",
        "1767225600",
    )
)


@st.composite
def log_lines(draw: st.DrawFn) -> bytes:
    """Draw an event's line, often with a few changes of the kinds that logs suffer."""
    members = {key: json.dumps(value) for key, value in EVENT.items()}
    members["user"] = str(draw(st.integers(0, 3)))
    members |= draw(
        st.dictionaries(
            st.sampled_from((*COLUMNS, "extra")),
            tokens,
            max_size=draw(st.sampled_from([0, 0, 1, 2])),
        )
    )
    for key in draw(st.lists(st.sampled_from(COLUMNS), max_size=1)):
        members.pop(key, None)
    colon = draw(st.sampled_from([":", ": ", " : "]))
    pairs = [f'"{key}"{colon}{token}' for key, token in members.items()]
    pairs += draw(st.lists(st.sampled_from(pairs), max_size=1))
    line = ("{" + draw(st.sampled_from([",", ", "])).join(pairs) + "}").encode()
    before, after = line[: (cut := draw(st.integers(0, len(line))))], line[cut:]
    inserted = draw(st.binary(min_size=1, max_size=2)).replace(b"\n", b"")
    changed = [before + inserted + after, before, line + b"\r", line + line]
    changed += [line[:-1] + end for end in (b",}", b" , }", b",\t}")]
    changed += [b"", b" ", b"\t \r"]
    return draw(st.sampled_from([line] * 10 + changed))


@settings(max_examples=40)
@given(
    lines=st.lists(log_lines(), max_size=4), ending=st.sampled_from([b"\n", b"\r\n"])
)
@pytest.mark.slow
def test_a_line_is_read_as_it_is_elsewhere_and_rejected_only_if_it_is_no_event(
    load: Load, lines: list[bytes], ending: bytes
) -> None:
    good = text().encode()
    loaded = load(ending.join([good, *lines, good]))
    assert loaded.lines.read == 2 + sum(bool(line.strip()) for line in lines)
    turned = load(ending.join([good, *reversed(lines), good]))
    assert repr(loaded.rows) == repr(turned.rows[::-1])
    for number, reason in loaded.rejects:
        assert reason == outcome(lines[number - 2], IdKinds())


@settings(max_examples=15)
@given(
    times=st.lists(
        st.floats(0, 1).filter(lambda value: value == 0 or value > 1e-300),
        min_size=1,
        max_size=20,
    )
)
def test_decimals_are_read_to_the_nearest_double(
    load: Load, times: list[float]
) -> None:
    rows = load(
        "".join(f"{text(time=time, latency=1e5 * time)}\n" for time in times)
    ).rows
    assert sorted((row["time"], row["latency"]) for row in rows) == sorted(
        (time, 1e5 * time) for time in times
    )
