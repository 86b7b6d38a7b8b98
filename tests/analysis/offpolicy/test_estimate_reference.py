"""Off-policy estimates against a plain reference: sets and loops, a request at a time."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.offpolicy.estimate import estimate_policy
from analysis.offpolicy.logged import logged_sessions
from analysis.offpolicy.recommendations import Serving, serve_lists
from tests.analysis.offpolicy.logged import Session, heldout_events

TRACKS = 8
Lists = dict[int, list[int]]


def probabilities(
    listed: Sequence[int], heard: set[int], serving: Serving
) -> dict[int, float]:
    left = [track for track in listed if track not in heard]
    if serving == "in-order":
        left = left[:1]
    return {track: 1 / len(left) for track in left}


def reference(
    sessions: Sequence[Session], lists: Lists, serving: Serving
) -> dict[str, float]:
    """IPS, SNIPS, requests, unanswered and matched."""
    n = unanswered = matched = 0
    weights = times = 0.0
    for session in sessions:
        for position, propensity in enumerate(session.propensities, start=1):
            if propensity is None:
                continue
            chances = probabilities(
                lists.get(session.user, []), set(session.tracks[:position]), serving
            )
            if not chances:
                unanswered += 1
                continue
            track, time = session.tracks[position], session.times[position]
            weight = chances.get(track, 0.0) / propensity
            n, matched = n + 1, matched + (weight > 0)
            weights, times = weights + weight, times + weight * time
    snips = times / weights if weights else 0.0
    return {
        "ips": times / n, "snips": snips, "weight": weights / n,
        "requests": n, "unanswered": unanswered, "matched": matched,
    }  # fmt: skip


@st.composite
def logs(draw: st.DrawFn) -> list[Session]:
    users = draw(st.lists(st.integers(0, 4), min_size=1, max_size=8).map(sorted))
    return [_session(draw, user) for user in users]


def _session(draw: st.DrawFn, user: int) -> Session:
    tracks = draw(st.lists(st.integers(0, TRACKS - 1), min_size=2, max_size=10))
    size = len(tracks)
    times = draw(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=size, max_size=size)
    )
    chances = st.sampled_from([None, 0.125, 0.25, 1.0])
    return Session(
        user,
        tracks,
        times,
        draw(st.lists(chances, min_size=size - 1, max_size=size - 1)),
    )


some_lists = st.dictionaries(
    st.integers(0, 6),
    st.lists(st.integers(0, TRACKS), min_size=1, max_size=5, unique=True),
    min_size=1,
)


@pytest.mark.parametrize("serving", ["random", "in-order"])
@given(sessions=logs(), lists=some_lists)
@settings(max_examples=60)
def test_lists_are_valued_as_the_reference_values_them(
    serving: Serving, sessions: list[Session], lists: Lists
) -> None:
    answered = any(
        p is not None
        and probabilities(lists.get(s.user, []), set(s.tracks[:position]), serving)
        for s in sessions
        for position, p in enumerate(s.propensities, start=1)
    )
    if not answered:
        return
    logged = logged_sessions(heldout_events(sessions))
    users = np.array(list(reversed(lists)))
    longest = max(map(len, lists.values()))
    tracks = np.array(
        [lists[user] + [-1] * (longest - len(lists[user])) for user in users.tolist()]
    )
    policy = serve_lists(logged, users, tracks, serving)
    found = estimate_policy(logged, *policy, resamples=2)
    expected = reference(sessions, lists, serving)
    np.testing.assert_allclose(
        [found.ips.value, found.snips.value, found.mean_weight.value],
        [expected[name] for name in ("ips", "snips", "weight")],
        atol=1e-12,
    )
    assert (found.requests, found.unanswered, found.matched) == tuple(
        expected[name] for name in ("requests", "unanswered", "matched")
    )


SESSIONS = (
    Session(0, [0, 1, 5], [1.0, 0.5, 0.25], [0.125, 0.125]),
    Session(1, [6, 2, 3], [1.0, 0.0, 0.75], [0.125, 0.125]),
)


def test_a_policy_that_depends_on_the_session_is_valued_by_its_own_probabilities() -> (
    None
):
    """It recommends the track after the one heard last."""
    logged = logged_sessions(heldout_events(SESSIONS))
    last = np.roll(logged.track, 1)
    probability = (logged.track == last + 1).astype(float)
    answered = np.full(len(last), fill_value=True)
    found = estimate_policy(logged, probability, answered, resamples=2)
    assert found.snips.value == (0.5 + 0.75) / 2
    assert found.ips.value == (0.5 + 0.75) * 8 / 4
    assert found.matched == 2
