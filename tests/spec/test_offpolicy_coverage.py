"""Off-policy estimates against the exact truth of a small world, over many logs of it.

Every session has one organic and five random tracks out of forty. All tracks are equally likely
everywhere, so what is left of a list is too, and the value of "random" is the mean over the organic
track of the mean over the rest of the list; that of "in-order" follows from the chance that the
first k of the rest have been heard after some draws.
"""

from functools import cache
from math import comb

import numpy as np
import pytest
from scipy import stats

from analysis.offpolicy.estimate import OffPolicyEstimate, estimate_policy
from analysis.offpolicy.logged import logged_sessions
from analysis.offpolicy.recommendations import Serving, serve_lists
from tests.analysis.offpolicy.logged import uniform_events

USERS, SESSIONS, REQUESTS, TRACKS, LISTED, LOGS = 150, 8, 5, 40, 8, 200
SERVINGS: tuple[Serving, ...] = ("random", "in-order")


@cache
def world() -> tuple[np.ndarray, np.ndarray]:
    """Chance of hearing by user and track, and lists of the better tracks, not in order."""
    rng = np.random.default_rng(7)
    means = rng.beta(0.6, 1.6, size=(USERS, TRACKS))
    lists = np.argsort(-(means + rng.normal(0, 0.25, means.shape)), axis=1)[:, :LISTED]
    return means, lists


@cache
def true_value(serving: Serving) -> float:
    means, lists = world()
    listed = np.take_along_axis(means, lists, axis=1)
    others = (listed.sum(axis=1, keepdims=True) - listed) / (LISTED - 1)
    if serving == "random":
        organic_listed, organic_not = others.mean(axis=1), listed.mean(axis=1)
        return float(
            np.mean(
                LISTED / TRACKS * organic_listed + (1 - LISTED / TRACKS) * organic_not
            )
        )
    return float(
        np.mean(
            [
                _in_order(of_user, request)
                for of_user in listed
                for request in range(REQUESTS)
            ]
        )
    )


def _in_order(of_list: np.ndarray, draws: int) -> float:
    """The value of the first track not heard after the organic one and some uniform draws."""
    heads = np.array([_all_heard(k, draws + 1) for k in range(LISTED + 1)])
    return float((heads[:-1] - heads[1:]) @ of_list)


def _all_heard(k: int, draws: int) -> float:
    """Chance that k given tracks are all among so many uniform draws (inclusion and exclusion)."""
    return float(
        sum((-1) ** i * comb(k, i) * (1 - i / TRACKS) ** draws for i in range(k + 1))
    )


@cache
def estimates() -> dict[Serving, list[OffPolicyEstimate]]:
    means, lists = world()
    found: dict[Serving, list[OffPolicyEstimate]] = {
        serving: [] for serving in SERVINGS
    }
    for log in range(LOGS):
        events = uniform_events(
            np.random.default_rng([9, log]), USERS, SESSIONS, REQUESTS, TRACKS, means
        )
        sessions = logged_sessions(events)
        for serving in SERVINGS:
            policy = serve_lists(sessions, np.arange(USERS), lists, serving)
            estimate = estimate_policy(sessions, *policy, resamples=200, seed=log)
            found[serving].append(estimate)
    return found


@pytest.mark.parametrize("serving", SERVINGS)
@pytest.mark.parametrize("method", ["ips", "snips"])
def test_estimates_are_right_on_average(method: str, serving: Serving) -> None:
    values = np.array(
        [getattr(estimate, method).value for estimate in estimates()[serving]]
    )
    error = values.std(ddof=1) / np.sqrt(LOGS)
    # The ratio of SNIPS has a bias of the order of its variance (Owen, ch. 9.2), a hundredth of its
    # spread here.
    assert abs(values.mean() - true_value(serving)) < 4 * error + 0.02 * values.std()


@pytest.mark.parametrize("serving", SERVINGS)
@pytest.mark.parametrize("method", ["ips", "snips"])
def test_the_95_percent_interval_covers_the_truth_as_often_as_it_says(
    method: str, serving: Serving
) -> None:
    intervals = [getattr(estimate, method) for estimate in estimates()[serving]]
    covered = sum(
        interval.lower <= true_value(serving) <= interval.upper
        for interval in intervals
    )
    # 93 to 97 %, and what chance adds in so many logs.
    least, most = (
        stats.binom.ppf(0.0005, LOGS, 0.93),
        stats.binom.ppf(0.9995, LOGS, 0.97),
    )
    assert least <= covered <= most


@pytest.mark.parametrize("serving", SERVINGS)
def test_the_mean_weight_of_a_log_with_full_support_raises_no_alarm(
    serving: Serving,
) -> None:
    alarms = [
        reason
        for estimate in estimates()[serving]
        for reason in estimate.reasons
        if "mean weight" in reason
    ]
    assert len(alarms) <= 1
