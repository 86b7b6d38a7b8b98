"""Recommenders compared in pairs, against a population whose truth is known."""

from itertools import combinations

import numpy as np

from listening_loop.replay.plays import NewestPlays
from listening_loop.replay.report import compare
from listening_loop.replay.score import COMPARED, score
from looplib.arrays import AnyArray, FloatArray
from looplib.randomness import make_generator

LISTENERS, PLAYS = 100, 5


def replayed() -> NewestPlays:
    """Plays of a session each, in which no track is played twice."""
    size = LISTENERS * PLAYS
    order = np.arange(size)
    never = np.zeros(size, bool)
    return NewestPlays(
        order // PLAYS,
        never.astype(int),
        order % PLAYS == 0,
        users=[],
        tracks=order.tolist(),
        times=[1.0] * size,
        protocol={"sessions": LISTENERS},
        is_repeat=never,
        is_unplayed=never,
        is_known=never,
    )


def answer(hits: AnyArray) -> FloatArray:
    """Rankings with the next track first, or nowhere."""
    return np.stack([hits, hits, hits], axis=1).astype(float)


def test_intervals_of_equal_recommenders_hold_for_all_pairs_together() -> None:
    plays, names = replayed(), [f"r{number}" for number in range(6)]
    size = int(plays.has_next.sum())
    wrong = 0
    for number in range(20):
        generator = make_generator(7, "pairs", number)
        taste = np.repeat(generator.uniform(0, 1, LISTENERS), PLAYS - 1)
        hits = {name: answer(generator.random(size) < taste) for name in names}
        _, pairs = score(plays, hits)
        assert len(pairs) == 4 * len([*combinations(names, 2)])
        rows = (row for row in pairs if row["metric"] == COMPARED)
        wrong += any(row["better"] for row in rows)
    assert wrong <= 4  # one is expected


def test_a_pair_is_compared_by_a_difference_even_if_a_value_is_nearly_0() -> None:
    plays = replayed()
    size = int(plays.has_next.sum())
    once = answer(np.arange(size) == 7)
    _, pairs = score(plays, {"all": answer(np.ones(size)), "once": once})
    (row,) = (row for row in pairs if row["metric"] == COMPARED)
    assert compare(row).startswith(
        "all is better than once: precision@20 +0.9975 (+0.99"
    )
    assert row["difference"].upper < 1.01
