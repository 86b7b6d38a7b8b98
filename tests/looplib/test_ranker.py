"""The features of candidates, against plain Python that walks the plays."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from looplib.ranker import FEATURES, Rows, TrackFacts, describe

PLAYS = [4, 0, 1, 2, 0, 1, 3, *[5] * 20, 0]
ARTISTS = np.array([0, 0, 1, 1, 2, 2, 0, 3, 3], np.int32)
# 6 and 7 are near to what was played, 8 is by an artist of whom nothing was
NEAR = {(0, 6): 0.5, (1, 7): 0.25, (0, 1): 1.0}
FOLLOWS = {(0, 7): 2.0, (5, 1): 3.0}


def rows(values: dict[tuple[int, int], float], shape: tuple[int, int]) -> Rows:
    places = np.array(list(values), np.int64).reshape(-1, 2)
    data = np.array(list(values.values()), np.float32)
    matrix = csr_matrix((data, (places[:, 0], places[:, 1])), shape)
    return Rows(matrix.indptr.astype(np.int64), matrix.indices, matrix.data)


@pytest.fixture
def described() -> dict[int, dict[str, float]]:
    """The features of each candidate."""
    by_artist = {(int(artist), track): 1.0 for track, artist in enumerate(ARTISTS)}
    facts = TrackFacts(
        rows(NEAR, (9, 9)),
        rows(FOLLOWS, (9, 9)),
        rows(by_artist, (4, 9)),
        rows({}, (4, 9)),
        ARTISTS,
        np.arange(9.0),
        np.arange(9.0) * 10,
    )
    candidates, features, heard = describe(np.array(PLAYS, np.int32), facts, new=5)
    assert candidates[:heard].tolist() == [0, 1, 2, 3, 4, 5]
    return {
        int(track): dict(zip(FEATURES, values.tolist(), strict=True))
        for track, values in zip(candidates, features, strict=True)
    }


def test_candidates_are_what_was_played_what_is_near_and_by_the_same_artists(
    described: dict[int, dict[str, float]],
) -> None:
    assert described.keys() == {0, 1, 2, 3, 4, 5, 6, 7}


def test_what_a_listener_played_counts_by_how_long_ago_it_was(
    described: dict[int, dict[str, float]],
) -> None:
    ages: dict[int, list[int]] = {track: [] for track in range(9)}
    for age, track in enumerate(reversed(PLAYS), start=1):
        ages[track].append(age)
    for track, features in described.items():
        activation = sum(age**-0.8 for age in ages[track])
        assert features["activation 0.8"] == pytest.approx(activation)
        assert features["plays since the last"] == min(ages[track], default=0)
        fellows = [other for other in range(9) if ARTISTS[other] == ARTISTS[track]]
        of_artist = [age for other in fellows for age in ages[other]]
        fading = sum(age**-0.8 for age in of_artist)
        assert features["activation of the artist"] == pytest.approx(fading)
        assert features["plays since the artist's last"] == min(of_artist, default=0)
        distinct = sum(bool(ages[other]) for other in fellows)
        assert features["the artist's tracks"] == distinct
        assert features["tracks per play"] == pytest.approx(6 / len(PLAYS))
        assert features["plays of the track by all"] == track


def test_what_follows_counts_by_all_and_by_the_listeners_own_plays(
    described: dict[int, dict[str, float]],
) -> None:
    # the latest three are 0, 5 and 5
    follows = {
        track: features["follows the latest plays"]
        for track, features in described.items()
    }
    assert follows == pytest.approx(
        {1: 3 * (1 / 2 + 1 / 3), 7: 2.0} | dict.fromkeys((0, 2, 3, 4, 5, 6), 0)
    )
    before = {
        track: features["followed the latest plays before"]
        for track, features in described.items()
    }
    # 0 was played twice before, and 1 right after it each time, also four plays after
    assert before[1] == pytest.approx(1 + 1 + 1 / 4)
    assert before[2] == pytest.approx(1 / 2)
    assert before[4] == before[6] == 0


def test_nearness_adds_up_what_was_played(
    described: dict[int, dict[str, float]],
) -> None:
    of_0, of_1 = (described[track]["activation 0.8"] for track in (0, 1))
    assert described[6]["near to the plays"] == pytest.approx(0.5 * of_0)
    assert described[7]["near to the plays"] == pytest.approx(0.25 * of_1)
    assert described[1]["near to the plays"] == pytest.approx(of_0)
