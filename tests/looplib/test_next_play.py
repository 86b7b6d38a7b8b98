"""The features of candidates for the next play, by definition."""

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random

from looplib.memory import turn
from looplib.next_play import CATEGORY_FEATURES, FEATURES, Facts, Lists, describe

TRACKS = 12
ARTISTS = np.arange(TRACKS) // 3


def draw_lists(seed: int) -> tuple[Lists, np.ndarray]:
    matrix = csr_matrix(random(TRACKS, TRACKS, 0.2, rng=seed, dtype=np.float32))
    starts = matrix.indptr.astype(np.int64)
    lists = Lists(starts[:-1], starts[1:], matrix.indices, matrix.data)
    return lists, matrix.toarray()


(NEAR, CLOSENESS), (FOLLOWS, FOLLOWING) = draw_lists(1), draw_lists(2)
PLAYS = np.linspace(0, 110, TRACKS)  # a track without plays is not offered
SKIPS = np.arange(float(TRACKS)) / 4
FACTS = Facts(NEAR, FOLLOWS, [ARTISTS[np.newaxis]], PLAYS, SKIPS)
NAMES = (*FEATURES, *(f"{name}, artist" for name in CATEGORY_FEATURES))


def by_definition(events: list[int], track: int) -> dict[str, float]:
    """Compute some of the features of a track."""
    newest = [event for event in events[::-1] if event >= 0]
    turned = [(ago, turn(event)) for ago, event in enumerate(events[::-1], 1)]
    ages = [age for age, played in enumerate(newest, 1) if played == track]
    artist = ARTISTS[track]
    by_artist = [age for age, played in enumerate(newest, 1) if played // 3 == artist]
    cues = [at for at in range(1, len(newest)) if newest[at] == newest[0]]
    directly = [at for at in cues if at > 1 and newest[at - 1] == track]

    def fading(tracks: list[int]) -> float:
        return sum(float(ago**-0.8) for ago, skipped in turned if skipped in tracks)

    same = np.flatnonzero(artist == ARTISTS)
    skip_count, play_count = SKIPS[same].sum(), PLAYS[same].sum()

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
        "skips": fading([track]),
        "skips by all": SKIPS[track] / (SKIPS[track] + PLAYS[track] + 5),
        "activation, artist": sum(age**-0.8 for age in by_artist),
        "plays since the last, artist": min(by_artist, default=0),
        "plays, artist": len(by_artist),
        "tracks, artist": len({newest[age - 1] for age in by_artist}),
        "plays of the category just heard up to now, artist": len(
            [*takewhile(lambda played: played // 3 == newest[0] // 3, newest)]
        ),
        "plays by all": 10 * track,
        "skips, artist": fading(same.tolist()),
        "skips by all, artist": skip_count / (skip_count + play_count + 5),
        "plays by all, artist": play_count,
        "plays of the listener": len(newest),
        "tracks per play": len(set(newest)) / len(newest),
        "recent tracks per play": len(set(newest[:20])) / len(newest[:20]),
    }


@given(
    plays=st.lists(st.integers(0, TRACKS - 1), min_size=1, max_size=19),
    skips=st.lists(st.integers(0, TRACKS - 1), max_size=4),
    seed=st.integers(0, 99),
)
def test_features_are_those_of_their_definitions(
    plays: list[int], skips: list[int], seed: int
) -> None:
    mixed = np.random.default_rng(seed).permutation([*plays, *map(turn, skips)])
    events = mixed.tolist()
    plays = [event for event in events if event >= 0]
    candidates, features = describe(np.array(events, np.int32), FACTS, plays[-1:])
    near = np.flatnonzero(CLOSENESS[plays[-10:]].any(axis=0))
    follows = np.flatnonzero(FOLLOWING[plays[-3:]].any(axis=0))
    expected = {*plays, *near.tolist(), *follows.tolist()}
    latest = ARTISTS[plays[-10:]]
    expected |= {*np.flatnonzero(np.isin(ARTISTS, latest) & (PLAYS > 0)).tolist()}
    assert sorted(candidates.tolist()) == sorted(expected - {plays[-1]})
    for track, values in zip(candidates.tolist(), features.tolist(), strict=True):
        named = dict(zip(NAMES, values, strict=True))
        defined = by_definition(events, track)
        assert {name: named[name] for name in defined} == pytest.approx(defined, 1e-5)


def test_skips_alone_offer_no_candidates() -> None:
    candidates, features = describe(np.array([turn(3), turn(5)], np.int32), FACTS)
    assert not len(candidates)
    assert features.shape == (0, FACTS.feature_count)


def test_each_category_has_the_same_features_and_points_have_distances() -> None:
    plays = np.array([1, 4, turn(8), 7, 2, 4, 9], np.int32)
    point = np.arange(2.0 * TRACKS, dtype=np.float32).reshape(TRACKS, 2)
    groups = [ARTISTS[np.newaxis], np.array([ARTISTS] * 2)]
    both = Facts(NEAR, FOLLOWS, groups, PLAYS, SKIPS, points=[point])
    candidates, features = describe(plays, both)
    once = describe(plays, FACTS)[1]
    assert features.shape[1] == both.feature_count == len(NAMES) + 10
    assert (features[:, : len(NAMES)] == once).all()
    # a track that is twice in a category is once in it
    second = features[:, len(NAMES) : -2]
    assert second == pytest.approx(once[:, len(FEATURES) :], rel=1e-6)
    weights = np.arange(1.0, 7) ** -0.8
    mean = (weights / weights.sum()) @ point[[9, 4, 2, 7, 4, 1]]
    for center, values in ((mean, features[:, -2]), (point[9], features[:, -1])):
        distances = np.linalg.norm(point[candidates] - center, axis=1)
        assert values == pytest.approx(distances, rel=1e-5)


def test_a_play_of_two_categories_counts_by_half_for_each() -> None:
    groups = np.array([[0] * TRACKS, [1, 2] * (TRACKS // 2)])
    facts = Facts(NEAR, FOLLOWS, [groups], PLAYS, SKIPS)
    plays = np.array([3, 5, 8], np.int32)
    candidates, features = describe(plays, facts)
    by_track = dict(zip(candidates.tolist(), features.tolist(), strict=True))
    first = len(FEATURES)
    activation, since, count, tracks, same = range(first, first + 5)
    # all share a category, which has 3 / 2 of the plays; 3 and 5 share another, which has 2 / 2
    assert by_track[7][count] == by_track[7][tracks] == (3 / 2 + 2 / 2) / 2
    assert by_track[10][count] == (3 / 2 + 1 / 2) / 2
    assert by_track[7][since] == (1 + 2) / 2
    assert by_track[7][same] == 3
    ages = np.arange(1.0, 4) ** -0.8
    both = ages.sum() / 2 + ages[1:].sum() / 2
    assert by_track[7][activation] == pytest.approx(both / 2)


def test_new_tracks_of_a_large_category_are_offered_newest_first() -> None:
    size = 1000
    starts = np.zeros(size, np.int64)
    none = Lists(starts, starts, np.zeros(0, np.int32), np.zeros(0, np.float32))
    plays = np.zeros(size)
    plays[0] = 1
    groups = [np.zeros((1, size), np.int64)]
    facts = Facts(none, none, groups, plays, plays * 0, unplayed=np.arange(1, size))
    offered, _ = facts.offer(0, np.array([0]))
    assert offered.tolist() == [0, *range(size - 100, size)]


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
