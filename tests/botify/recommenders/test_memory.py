"""Rules over the plays that a version has learned from, and those that came later."""

from pathlib import Path

import numpy as np
import pytest

from botify.model.model import ServedModel
from botify.recommenders.base import UNKNOWN, Query
from botify.recommenders.memory import plays_until_now
from looplib.arrays import NO_TRACK
from looplib.memory import MOST_PLAYS, pack_plays, turn
from tests.botify.exports import update_manifest
from tests.botify.recommenders.conftest import (
    draw,
    load,
    publish_twelve,
)

LATEST_S = 1000
LEARNED = [5, 5, 5, 7, 7, 2]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Load a version that has learned from six plays of listener 4."""
    folder = tmp_path_factory.mktemp("learned")
    publish_plays(publish_twelve(folder), {9: [], 4: LEARNED})
    return load(folder, "activation")


def publish_plays(version: Path, plays: dict[int, list[int]]) -> None:
    np.savez(
        version / "latest.npz",
        users=np.array([*plays]),
        latest=np.full(len(plays), 1000 * LATEST_S),
        tracks=np.arange(12),
        counts=np.array([len(tracks) for tracks in plays.values()]),
        plays=np.concatenate([*plays.values()]).astype(np.int32),
    )
    update_manifest(version, "latest.npz")


def heard(user: int, *tracks: int, at_s: int = LATEST_S + 1) -> Query:
    query = Query(user, tracks, [1.0] * len(tracks), count=4, repeat_after=0)
    query.plays = pack_plays(tracks, at_s)
    return query


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("most_played", (5, 7, 2), (5, 3, 7, 2)),  # of equals the one heard last
        ("latest", (2, 7, 5), (3, 2, 7, 5)),
        ("activation", (5, 7, 2), (3, 5, 7, 2)),
    ],
)
def test_rules_count_each_play_until_now(
    learned: ServedModel, name: str, before: tuple[int], after: tuple[int]
) -> None:
    queries = [heard(4), heard(4, 3, 3)]
    ranked = [(d.track, *d.following) for d in draw(learned, name, *queries)]
    assert ranked == [before, after]


def test_plays_that_were_learned_from_count_once_and_the_newest_stay(
    learned: ServedModel,
) -> None:
    for at_s, added in ((LATEST_S, []), (LATEST_S + 1, [3])):
        query = heard(4, 3, at_s=at_s)
        assert plays_until_now(learned, query).tolist() == LEARNED + added
    query.plays = pack_plays(range(12), LATEST_S + 1) * 24  # 288
    assert len(plays_until_now(learned, query)) == 6 + 288
    query.plays *= 2
    assert len(plays_until_now(learned, query)) == MOST_PLAYS


def test_new_listeners_have_the_plays_that_came(
    learned: ServedModel, model: ServedModel
) -> None:
    for version in (learned, model):  # the second one has learned from none
        assert plays_until_now(version, heard(6, 3, 1)).tolist() == [3, 1]
        assert draw(version, "latest", heard(6)) == [UNKNOWN]


def test_without_a_memory_the_session_is_all_that_is_new(learned: ServedModel) -> None:
    query = Query(4, [3, NO_TRACK], [1.0, 1.0])
    assert plays_until_now(learned, query).tolist() == [*LEARNED, 3]


def test_skips_are_known_at_once_and_rules_leave_them_out(tmp_path: Path) -> None:
    version = publish_twelve(tmp_path, feedback={"skip": 0.1})
    publish_plays(version, {4: [5, turn(7), 2]})
    model = load(tmp_path, "latest")
    assert model.skip == 0.1
    query = Query(4, [3, 9], [0.05, 1.0], count=4, repeat_after=0)
    assert plays_until_now(model, query).tolist() == [5, turn(7), 2, turn(3), 9]
    (drawn,) = draw(model, "latest", query)
    assert (drawn.track, *drawn.following) == (9, 2, 5)
