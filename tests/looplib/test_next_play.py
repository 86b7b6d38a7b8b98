"""The features of candidates for the next play, by definition."""

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random

from looplib.next_play import FEATURES, Facts, Lists, describe

TRACKS = 12
ARTISTS = np.arange(TRACKS) // 3


def draw_lists(seed: int) -> tuple[Lists, np.ndarray]:
    matrix = csr_matrix(random(TRACKS, TRACKS, 0.2, rng=seed, dtype=np.float32))
    starts = matrix.indptr.astype(np.int64)
    lists = Lists(starts[:-1], starts[1:], matrix.indices, matrix.data)
    return lists, matrix.toarray()


(NEAR, CLOSENESS), (FOLLOWS, FOLLOWING) = draw_lists(1), draw_lists(2)
PLAYS = np.linspace(0, 110, TRACKS)  # a track without plays is not offered
FACTS = Facts(NEAR, FOLLOWS, ARTISTS[np.newaxis], PLAYS)


def by_definition(plays: list[int], track: int) -> dict[str, float]:
    """Compute some of the features of a track."""
    newest = plays[::-1]
    ages = [age for age, played in enumerate(newest, 1) if played == track]
    artist = ARTISTS[track]
    by_artist = [age for age, played in enumerate(newest, 1) if played // 3 == artist]
    cues = [at for at in range(1, len(newest)) if newest[at] == newest[0]]
    directly = [at for at in cues if at > 1 and newest[at - 1] == track]

    def passage(at: int) -> int:
        pairs = zip(newest[at:], newest, strict=False)
        same = list(takewhile(lambda pair: pair[0] == pair[1], pairs))
        return min(len(same), 4)

    return {
        "near to the plays": sum(
            CLOSENESS[played, track] / age for age, played in enumerate(newest[:10], 1)
        ),
        "near to the last": CLOSENESS[newest[0], track],
        "follows the last three": sum(
            FOLLOWING[played, track] / age for age, played in enumerate(newest[:3], 1)
        ),
        "followed the last before": sum(
            1 / distance
            for at in cues
            for distance in range(1, 6)
            if at > distance and newest[at - distance] == track
        ),
        "followed the last directly": len(directly),
        "plays of a passage that it followed": max(map(passage, directly), default=0),
        "activation": sum(age**-0.5 for age in ages),
        "activation, fading faster": sum(age**-1.5 for age in ages),
        "plays": len(ages),
        "plays since the last": min(ages, default=0),
        "activation of the artist": sum(age**-0.8 for age in by_artist),
        "plays since the artist's last": min(by_artist, default=0),
        "plays of the artist": len(by_artist),
        "the artist's tracks": len({newest[age - 1] for age in by_artist}),
        "plays of the artist just heard up to now": len(
            [*takewhile(lambda played: played // 3 == newest[0] // 3, newest)]
        ),
        "plays by all": 10 * track,
        "plays of the artist by all": sum(PLAYS[artist == ARTISTS]),
        "plays of the listener": len(plays),
        "tracks per play": len(set(plays)) / len(plays),
        "recent tracks per play": len(set(newest[:20])) / len(newest[:20]),
    }


@given(plays=st.lists(st.integers(0, TRACKS - 1), min_size=1, max_size=19))
def test_features_are_those_of_their_definitions(plays: list[int]) -> None:
    candidates, features = describe(np.array(plays, np.int32), FACTS, plays[-1:])
    near = np.flatnonzero(CLOSENESS[plays[-10:]].any(axis=0))
    follows = np.flatnonzero(FOLLOWING[plays[-3:]].any(axis=0))
    expected = {*plays, *near.tolist(), *follows.tolist()}
    latest = ARTISTS[plays[-10:]]
    expected |= {*np.flatnonzero(np.isin(ARTISTS, latest) & (PLAYS > 0)).tolist()}
    assert sorted(candidates.tolist()) == sorted(expected - {plays[-1]})
    for track, values in zip(candidates.tolist(), features.tolist(), strict=True):
        named = dict(zip(FEATURES, values, strict=True))
        defined = by_definition(plays, track)
        assert {name: named[name] for name in defined} == pytest.approx(defined, 1e-5)


def test_a_second_category_has_the_features_of_the_artist_and_points_have_distances() -> (
    None
):
    plays = np.array([1, 4, 7, 2, 4, 9], np.int32)
    point = np.arange(2.0 * TRACKS, dtype=np.float32).reshape(TRACKS, 2)
    twice = Facts(NEAR, FOLLOWS, np.array([ARTISTS] * 2), PLAYS, points=[point])
    candidates, features = describe(plays, twice)
    (once,) = (describe(plays, FACTS)[1],)
    assert features.shape[1] == twice.feature_count == len(FEATURES) + 8
    assert (features[:, : len(FEATURES)] == once).all()
    first = FEATURES.index("activation of the artist")
    by_artist = [*range(first, first + 5), FEATURES.index("plays of the artist by all")]
    assert (features[:, len(FEATURES) : -2] == once[:, by_artist]).all()
    weights = np.arange(1.0, 7) ** -0.8
    mean = (weights / weights.sum()) @ point[plays[::-1]]
    for center, values in ((mean, features[:, -2]), (point[9], features[:, -1])):
        distances = np.linalg.norm(point[candidates] - center, axis=1)
        assert values == pytest.approx(distances, rel=1e-5)


def test_the_candidates_that_look_best_are_ranked() -> None:
    plays = np.array([1, 4, 7, 1, 4, 1], np.int32)
    candidates, features = describe(plays, FACTS)
    names = (
        "near to the plays",
        "near to the last three",
        "follows the last three",
        "followed the last before",
        "activation",
    )
    parts = features[:, [FEATURES.index(name) for name in names]]
    rough = np.sum(parts / np.maximum(parts.max(axis=0), 1e-9), axis=1)
    fewer, described = describe(plays, FACTS, [1], most=3)
    ranked = candidates[np.argsort(-rough)]
    best = ranked[ranked != 1][:3]
    assert sorted(fewer.tolist()) == sorted(best.tolist())
    rows = [candidates.tolist().index(track) for track in fewer.tolist()]
    assert (features[rows] == described).all()
