"""Lines of services and simulators have the usual form, which is read fast."""

import json

import numpy as np
import pytest

from analysis.logs.fields import NUMBERS, IdKinds, usual_line
from botify.event_log import event_line
from sim.events import Events, format_events
from tests.analysis.logs.test_reader import EVENT, text

START_MS = 1_767_225_600_000


def is_usual(line: bytes | str, kinds: IdKinds = NUMBERS) -> bool:
    content = line.encode() if isinstance(line, str) else line
    return usual_line(kinds).fullmatch(content.rstrip(b"\n")) is not None


def test_what_the_service_writes_is_usual() -> None:
    arms = {"ALS": "T1", "AA": "C"}
    known = (9, arms, "00000000000c0ffe", "als", 0.5, None)
    unknown: tuple[object, ...] = (8, {}, None, "random", None, 3)
    nothing = (None, arms, "a-1", None, None, None)
    assert is_usual(event_line("next", START_MS, 7, 3, 0.25, 0.00052, *known))
    assert is_usual(event_line("next", START_MS, 8, 4, 1.0, 0.00052, *unknown))
    assert is_usual(event_line("last", START_MS, 7, 3, 0.25, 8.5e-05, *nothing))


def test_what_the_simulator_writes_is_usual() -> None:
    events = Events(
        session=np.array([0, 1]),
        listener=np.array([5, 6]),
        length=np.array([2, 1]),
        timestamp=np.array([START_MS] * 3),
        track=np.array([1, 2, 3]),
        hundredths=np.array([0, 55, 100]),
        propensity=2e-05,
    )
    lines = format_events(events, "random", "random-1-").splitlines()
    assert all(map(is_usual, lines))


def test_what_the_original_service_wrote_is_usual() -> None:
    line = text(session=..., recommender=..., propensity=..., request=...)
    assert is_usual(line)


def test_text_ids_are_usual_where_ids_are_text() -> None:
    line = text(user="u1", track="t1", recommendation="t2")
    assert is_usual(line, IdKinds(users=True, tracks=True))
    assert not is_usual(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        text(time="0.5"),
        text()[:-5],
        f"\ufeff{text()}",
        text(extra=[1, 2]),
        text(session="a\\"),
        text(user=7.0),
        text(user=True),
        text().replace('"user": 7', '"user": 9, "user": 7'),
        json.dumps(dict(reversed(EVENT.items()))),
    ],
)
def test_any_other_line_is_not(line: str) -> None:
    assert not is_usual(line)
