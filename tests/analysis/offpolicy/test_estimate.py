"""Off-policy estimates: what is refused, and what is not conclusive."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.offpolicy.estimate import OffPolicyEstimate, estimate_policy
from analysis.offpolicy.logged import LoggedSessions, logged_sessions
from analysis.offpolicy.recommendations import serve_lists
from tests.analysis.offpolicy.logged import (
    MEANS,
    TOP,
    TRACKS,
    USERS,
    Session,
    heldout_events,
    uniform_events,
)


@pytest.fixture(scope="module")
def sessions() -> LoggedSessions:
    events = uniform_events(np.random.default_rng(2), USERS, 6, 4, TRACKS, MEANS)
    return logged_sessions(events)


def value_lists(
    sessions: LoggedSessions, users: np.ndarray, tracks: np.ndarray
) -> OffPolicyEstimate:
    policy = serve_lists(sessions, users, tracks, "random")
    return estimate_policy(sessions, *policy, resamples=200)


def test_a_clear_case_is_conclusive_and_ends_lie_around_the_value(
    sessions: LoggedSessions,
) -> None:
    found = value_lists(sessions, np.arange(USERS), TOP)
    assert not found.reasons
    assert found.snips.lower < found.snips.value < found.snips.upper
    assert found.requests == USERS * 6 * 4


def test_too_few_matches_are_not_conclusive_and_the_reason_says_how_many(
    sessions: LoggedSessions,
) -> None:
    found = value_lists(sessions, np.arange(3), np.arange(9).reshape(3, 3))
    assert "effective sample size" in found.reasons[0]


def test_no_match_at_all_is_worth_0_and_not_conclusive() -> None:
    sessions = logged_sessions(heldout_events([Session(0, [1, 2], [1.0, 0.5], [0.1])]))
    found = value_lists(sessions, np.array([0]), np.array([[5]]))
    assert (found.snips.value, found.ess, found.matched) == (0.0, 0.0, 0)
    assert found.reasons


def test_a_policy_beyond_what_was_ever_recommended_is_not_conclusive(
    sessions: LoggedSessions,
) -> None:
    lists = np.hstack(
        [TOP, TRACKS + np.arange(20) + np.zeros((USERS, 1), dtype=np.int64)]
    )
    found = value_lists(sessions, np.arange(USERS), lists)
    assert found.mean_weight.value < 0.5
    assert any("never recommends some" in reason for reason in found.reasons)


def test_lists_that_know_the_sessions_are_not_conclusive(
    sessions: LoggedSessions,
) -> None:
    recommended = np.flatnonzero(sessions.counted)
    known = [
        np.unique(sessions.track[recommended[sessions.listener[recommended] == user]])[
            :3
        ]
        for user in range(USERS)
    ]
    found = value_lists(sessions, np.arange(USERS), np.stack(known))
    assert any("was learned from these sessions" in reason for reason in found.reasons)


def test_what_cannot_be_valued_is_refused(sessions: LoggedSessions) -> None:
    with pytest.raises(AnalysisError, match="nothing to recommend"):
        value_lists(sessions, np.arange(USERS) + 10_000, TOP)
