from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.randomness import make_generator
from sim.errors import SimError
from sim.events import DAY_MS, SESSION_GAP_MS, event_times, window_ms

SILENCE_MS = 30 * 60 * 1000


@pytest.mark.parametrize(
    ("sessions", "listeners", "days"),
    [(20_000, 10_000, 2), (20_000, 3_000, 7), (20_000, 10**6, 1), (20_000, 1, 20_000)],
)
def test_a_window_has_a_day_for_each_session_of_a_listener(
    sessions: int, listeners: int, days: int
) -> None:
    assert window_ms(sessions, listeners) == days * DAY_MS


@settings(max_examples=100, deadline=None)
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
    window = (1_767_225_600_000, window_ms(sessions, listeners))
    ends = event_times(who, lengths, hundredths, window, rng)
    times = [ends[:length, session] for session, length in enumerate(lengths)]
    assert all(
        window[0] < own[0] and own[-1] <= window[0] + window[1] - SESSION_GAP_MS
        for own in times
    )
    assert all(
        np.diff(own, prepend=0).min() > 0 and np.diff(own).max(initial=0) < SILENCE_MS
        for own in times
    )
    for listener in range(listeners):
        own = sorted(
            (times[session] for session in np.flatnonzero(who == listener)),
            key=lambda events: int(events[0]),
        )
        assert all(
            later[0] - earlier[-1] > SESSION_GAP_MS for earlier, later in pairwise(own)
        )


def test_a_track_takes_a_second_and_up_to_three_minutes_more_where_there_is_room() -> (
    None
):
    hundredths = np.array([[100, 50], [0, 0], [50, 0], [1, 0]])
    times = event_times(
        np.array([0, 1]),
        np.array([4, 1]),
        hundredths,
        (0, DAY_MS),
        make_generator(1, "test"),
    )
    assert np.diff(times[:, 0]).tolist() == [1000, 91_000, 2800]


def test_more_sessions_than_a_window_can_hold_are_refused() -> None:
    window, rng = (0, DAY_MS), make_generator(1, "test")
    with pytest.raises(
        SimError, match="a listener has 50 sessions in 1 days, too many to keep apart"
    ):
        event_times(
            np.zeros(50, int), np.ones(50, int), np.zeros((1, 50), int), window, rng
        )
