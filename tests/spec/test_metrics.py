"""The metrics' definitions, as small tables with the expected values written as arithmetic.

Held-out tables have a row per pair: user, track, listening time. Tables of recommendations have a
row per user: tracks, best first, `-` where there is none.
"""

from math import log2

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from analysis.errors import AnalysisError
from analysis.validation import ACCURACY, METRICS, Validator
from looplib.arrays import FloatArray

CATALOGUE_SIZE = 100
TRAINING_LISTENERS = 7
POPULARITY = """
track listeners artist
10    7         1
20    3         2
30    1         1
"""
HEARD = csr_matrix(([1.0], ([1], [10])), (10, CATALOGUE_SIZE))  # listener 1, track 10


def columns_of(table: str, count: int) -> FloatArray:
    """The columns of a text table without its header of as many names."""
    lines = table.replace("-", "-1").strip().splitlines()[1:]
    return np.array([line.split() for line in lines], float).reshape(-1, count).T


def validator_of(heldout: str) -> Validator:
    users, tracks, times = columns_of(heldout, 3)
    heard, listeners, artists = columns_of(POPULARITY, 3).astype(int)
    return Validator(
        pa.table(
            {
                "user": users.astype(int),
                "track": tracks.astype(int),
                "time": times,
                "skipped": (times == 0).astype(int),
            }
        ),
        pa.table({"track": heard, "listeners": listeners, "artist": artists}),
        catalogue_size=CATALOGUE_SIZE,
        training_listeners=TRAINING_LISTENERS,
        heard=HEARD,
        ks=[3],
        resamples=20,
    )


ONE_RELEVANT = """
user track time
1    10    0.9
1    11    0.4
"""
SKIPPED = """
user track time
1    10    0.9
1    30    0
1    31    0
"""
THREE_RELEVANT = """
user track time
1    10    1.0
1    11    0.5
1    12    0.8
1    13    0.2
"""
TWO_LISTENERS = """
user track time
1    10    1.0
2    20    0.6
2    21    0.2
"""
HIT_AT_2 = """
user tracks
1    30 10 31
"""
HITS_AT_1_AND_3 = """
user tracks
1    10 30 12
"""
NO_HIT = """
user tracks
1    30 31 32
"""
SHORT = """
user tracks
1    10 - -
"""
NOBODY = "user tracks"
ONE_OF_TWO = """
user tracks
1    10 30 31
"""
BOTH = """
user tracks
1    10 20 -
2    20 21 30
"""
STRANGER_TOO = """
user tracks
9    50 51 52
1    30 10 31
"""
IDEAL_OF_3 = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
GRADED_IDEAL_OF_3 = 1.0 / log2(2) + 0.8 / log2(3) + 0.5 / log2(4)


CASES: dict[str, tuple[str, str, dict[str, float]]] = {
    "one hit at rank 2 of 3: NDCG is 0.631": (
        ONE_RELEVANT,
        HIT_AT_2,
        {
            "ndcg": (1 / log2(3)) / (1 / log2(2)),
            "precision": 1 / 3,
            "recall": 1 / 1,
            "map": (1 / 2) / 1,
            "mrr": 1 / 2,
            "hit_rate": 1,
            "graded_ndcg": (0.9 / log2(3)) / (0.9 / log2(2) + 0.4 / log2(3)),
            "hit_time": 0.9 / 1,
        },
    ),
    "two tracks of an artist; two of three are new, and one of two held out": (
        ONE_RELEVANT,
        HIT_AT_2,
        {
            "popularity": (1 / 7 + 7 / 7 + 0) / 3,
            "artists": 2,
            "distance": 1 - 1 / 3,
            "calibration": 2 / 3 - 1 / 2,
        },
    ),
    "two of three listed tracks are skipped: skips are no hits": (
        SKIPPED,
        HIT_AT_2,
        {
            "skip_rate": 2 / 3,
            "precision": 1 / 3,
            "hit_time": 0.9,
            "graded_ndcg": 1 / log2(3),
        },
    ),
    "two hits of three relevant: exactly min_time is relevant too": (
        THREE_RELEVANT,
        HITS_AT_1_AND_3,
        {
            "ndcg": (1 / log2(2) + 1 / log2(4)) / IDEAL_OF_3,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "map": (1 / 1 + 2 / 3) / 3,
            "mrr": 1 / 1,
            "hit_rate": 1,
            "graded_ndcg": (1.0 / log2(2) + 0.8 / log2(4)) / GRADED_IDEAL_OF_3,
            "hit_time": (1.0 + 0.8) / 2,
        },
    ),
    "no hit: everything is 0, also the ratio without a denominator": (
        ONE_RELEVANT,
        NO_HIT,
        dict.fromkeys(ACCURACY, 0),
    ),
    "a short list: precision still divides by k, the rest by what there is": (
        ONE_RELEVANT,
        SHORT,
        {
            "ndcg": 1,
            "precision": 1 / 3,
            "recall": 1,
            "map": 1,
            "novelty": -log2(8 / 8),
            "coverage": 1 / 100,
        },
    ),
    "no list at all counts 0": (
        ONE_RELEVANT,
        NOBODY,
        dict.fromkeys([name for name in METRICS if name != "skip_rate"], 0),
    ),
    "a listener without recommendations counts 0, but for hit_time and novelty": (
        TWO_LISTENERS,
        ONE_OF_TWO,
        {
            "ndcg": (1 + 0) / 2,
            "precision": (1 / 3 + 0) / 2,
            "graded_ndcg": (1 + 0) / 2,
            "hit_time": 1.0 / 1,
            "novelty": (-log2(8 / 8) - log2(2 / 8) - log2(1 / 8)) / 3,
            "coverage": 3 / 100,
        },
    ),
    "hit_time is a ratio of sums, novelty a mean of means, coverage of distinct tracks": (
        TWO_LISTENERS,
        BOTH,
        {
            "hit_time": (1.0 + 0.6 + 0.2) / 3,
            "novelty": (
                (-log2(8 / 8) - log2(4 / 8)) / 2
                + (-log2(4 / 8) - log2(1 / 8) - log2(2 / 8)) / 3
            )
            / 2,
            "artists": (2 + 3) / 2,
            "coverage": 4 / 100,
            # Of 100 tracks, 96 are on no list, 3 on one and the last on two.
            "gini": (2 * (97 + 98 + 99) - 3 * 101 + 2 * (2 * 100 - 101)) / (100 * 5),
        },
    ),
    "recommendations for someone without held-out listening are ignored": (
        ONE_RELEVANT,
        STRANGER_TOO,
        {
            "ndcg": 1 / log2(3),
            "coverage": 3 / 100,
            "novelty": (-log2(2 / 8) - log2(8 / 8) - log2(1 / 8)) / 3,
        },
    ),
}


@pytest.mark.parametrize(
    ("heldout", "recommended", "expected"), CASES.values(), ids=CASES
)
def test_metrics_of_the_first_three(
    heldout: str, recommended: str, expected: dict[str, float]
) -> None:
    users, *tracks = columns_of(recommended, 4).astype(int)
    validation = validator_of(heldout).score(users, np.stack(tracks, axis=1))
    assert {
        name: validation.metrics[f"{name}@3"].value for name in expected
    } == pytest.approx(expected, abs=1e-12)


def test_nothing_relevant_is_refused() -> None:
    with pytest.raises(
        AnalysisError, match=r"nothing to validate on.*at least 0\.5; lower"
    ):
        validator_of("user track time\n1 10 0.4\n")
