"""Which recommender held-out sessions choose, where it is known which is the best."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.offpolicy.logged import LoggedSessions
from looplib.arrays import Float32Array, IntArray
from recsys.session_model.choice import NAME, Choice, Score, choose, sample_events

LISTENERS, TRACKS, SESSIONS, LENGTH = 40, 200, 6000, 4
TASTE = np.random.default_rng(1).random((LISTENERS, TRACKS))
NOISE = np.random.default_rng(3).random((LISTENERS, TRACKS))


@pytest.fixture(scope="module")
def sessions() -> LoggedSessions:
    """Any track is recommended, and heard by how much the listener likes it, or a bit less."""
    rng = np.random.default_rng(2)
    users = np.arange(LISTENERS) * 2  # rows of a dataset, of which each second is here
    listener = np.repeat(np.sort(rng.integers(LISTENERS, size=SESSIONS)), LENGTH)
    position = np.tile(np.arange(LENGTH), SESSIONS)
    track = rng.integers(TRACKS, size=len(listener))
    return LoggedSessions(
        users=users,
        listener=listener,
        first=np.arange(len(listener)) - position,
        track=track,
        time=TASTE[listener, track] * rng.uniform(0.8, 1, len(track)),
        propensity=np.where(position > 0, 1 / TRACKS, np.nan),
        unknown=0,
        unfollowed=0,
    )


def knowing(noise: float, seed: int = 3) -> Score:
    """Score tracks by the listener's taste, and by noise that is always the same."""
    known = (1 - noise) * TASTE + noise * np.random.default_rng(seed).random(
        TASTE.shape
    )

    def score(sessions: LoggedSessions, events: IntArray) -> Float32Array:
        return known[sessions.listener[events]].astype(np.float32)

    return score


def flat(_: LoggedSessions, events: IntArray) -> Float32Array:
    return np.full((len(events), TRACKS), 0.3, np.float32)


def choose_between(sessions: LoggedSessions, scores: dict[str, Score]) -> Choice:
    return choose(sessions, sample_events(sessions, TRACKS, seed=1), scores, seed=1)


def test_what_likes_the_best_tracks_is_served(sessions: LoggedSessions) -> None:
    scores = {NAME: knowing(0.1), "contextual": knowing(0.6), "in_order": knowing(1.0)}
    choice = choose_between(sessions, scores)
    assert (choice.serves, choice.reason) == (NAME, "it is better than contextual")
    shares = [choice.shares[name].value for name in scores]
    assert shares == sorted(shares, reverse=True)
    order = np.argsort(-(0.9 * TASTE + 0.1 * NOISE), axis=1)
    worth = 1 / (10 + np.arange(1, TRACKS + 1))
    drawn = np.take_along_axis(TASTE, order, axis=1) @ worth / worth.sum() * 0.9
    assert shares[0] == pytest.approx(drawn.mean(), abs=0.02)


@pytest.mark.parametrize("noise", [0.6, 0.9])
def test_a_model_that_is_not_significantly_better_leaves_it_to_the_best(
    sessions: LoggedSessions, noise: float
) -> None:
    scores = {
        NAME: knowing(noise),
        "contextual": knowing(1.0, 4),
        "in_order": knowing(0.6),
    }
    choice = choose_between(sessions, scores)
    assert choice.serves == "in_order"
    assert choice.reason == "it is not significantly better than in_order"


def test_scores_that_do_not_vary_have_the_value_of_any_track(
    sessions: LoggedSessions,
) -> None:
    scores = {NAME: flat, "contextual": knowing(0.7), "in_order": flat}
    choice = choose_between(sessions, scores)
    assert choice.serves == "contextual"
    events = sample_events(sessions, TRACKS, seed=1)
    usual = sessions.time[events].mean()
    assert choice.shares[NAME].value == pytest.approx(usual)
    only_flat = choose_between(sessions, {NAME: flat, "in_order": flat})
    assert only_flat.serves == "in_order"


def test_where_too_little_is_known_the_first_plain_one_is_served(
    sessions: LoggedSessions,
) -> None:
    unknown = np.full(len(sessions.track), np.nan)
    for propensity in (unknown, np.where(np.arange(len(unknown)) < 800, 0.005, np.nan)):
        few = replace(sessions, propensity=propensity)
        scores = {NAME: knowing(0.1), "contextual": knowing(0.6)}
        choice = choose_between(few, scores)
        assert choice.serves == "contextual"
        assert "fewer than 1000 responses" in choice.reason
