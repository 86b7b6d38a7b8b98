from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.randomness import make_generator
from sim.errors import SimError
from sim.events import DAY_MS, SESSION_GAP_MS, event_times, window_ms


@pytest.mark.parametrize(
    ("sessions", "listeners", "days"),
    [(20_000, 10_000, 2), (20_000, 3_000, 7), (20_000, 10**6, 1)],
)
def test_a_window_has_a_day_for_each_session_of_a_listener(
    sessions: int, listeners: int, days: int
) -> None:
    assert window_ms(sessions, listeners) == days * DAY_MS


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    listeners=st.integers(1, 8),
    sessions=st.integers(1, 40),
    tracks=st.integers(1, 400),
)
def test_a_listener_is_never_in_two_sessions_nor_comes_back_within_half_an_hour(
    seed: int, listeners: int, sessions: int, tracks: int
) -> None:
    """Sessions of up to 400 tracks, up to 20 hours long, do not all fit at their own pace."""
    rng = make_generator(seed, "test clock")
    who = rng.integers(listeners, size=sessions)
    lengths = rng.integers(1, tracks, size=sessions, endpoint=True)
    hundredths = rng.integers(0, 100, size=(tracks, sessions), endpoint=True)
    start_ms, length_ms = 1_767_225_600_000, window_ms(sessions, listeners)
    ends = event_times(who, lengths, hundredths, (start_ms, length_ms), rng)
    times = [ends[:length, session] for session, length in enumerate(lengths)]
    for events in times:
        assert start_ms < events[0]
        assert events[-1] <= start_ms + length_ms - SESSION_GAP_MS
        steps = np.diff(events)
        assert np.all((steps > 0) & (steps < 1_800_000))
    for listener in range(listeners):
        spans = sorted(
            (int(times[session][0]), int(times[session][-1]))
            for session in np.flatnonzero(who == listener)
        )
        for (_, end), (begin, _) in pairwise(spans):
            assert begin - end > SESSION_GAP_MS


def test_a_track_takes_a_second_and_up_to_three_minutes_more_where_there_is_room() -> (
    None
):
    hundredths = np.array([[100, 50], [0, 0], [50, 0], [1, 0]])
    rng = make_generator(1, "test")
    lengths = np.array([4, 1])
    times = event_times(np.array([0, 1]), lengths, hundredths, (0, DAY_MS), rng)
    assert np.diff(times[:, 0]).tolist() == [1000, 91_000, 2800]


def test_more_sessions_than_a_window_can_hold_are_refused() -> None:
    rng, ones = make_generator(1, "test"), np.ones(50, int)
    message = "a listener has 50 sessions in 1 days, too many to keep apart"
    with pytest.raises(SimError, match=message):
        event_times(ones, ones, np.zeros((1, 50), int), (0, DAY_MS), rng)
