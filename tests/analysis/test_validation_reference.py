"""The metrics in SQL against ten lines of plain Python, and against scikit-learn."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import log2
from statistics import fmean

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score  # type: ignore[import-untyped]

from analysis.validation import Validation, Validator

TRACKS = 12
TRAINING_LISTENERS = 9
MIN_TIME = 0.5
KS = (1, 3, 5)

# a pair in three was heard in training
HEARD = csr_matrix(np.add.outer(np.arange(60), np.arange(60)) % 3 == 0)

Heldout = dict[int, dict[int, float]]  # user → track → listening time
Lists = dict[int, list[int]]  # user → tracks, best first


def validator_of(
    heldout: Heldout,
    popularity: dict[int, int],
    *,
    ks: Sequence[int] = KS,
    catalogue_size: int = TRACKS,
) -> Validator:
    pairs = [
        {"user": user, "track": track, "time": time}
        for user, times in heldout.items()
        for track, time in times.items()
    ]
    return Validator(
        pa.Table.from_pylist(pairs),
        pa.table(
            {
                "track": pa.array(popularity, pa.int64()),
                "listeners": pa.array(popularity.values(), pa.int64()),
                "artist": pa.array([track // 3 for track in popularity], pa.int64()),
            }
        ),
        catalogue_size=catalogue_size,
        training_listeners=TRAINING_LISTENERS,
        heard=HEARD,
        ks=ks,
        min_time=MIN_TIME,
        resamples=2,
    )


def score(validator: Validator, lists: Lists, width: int) -> Validation:
    padded = [tracks + [-1] * (width - len(tracks)) for tracks in lists.values()]
    return validator.score(
        np.array([*lists], np.int64), np.array(padded, np.int64).reshape(-1, width)
    )


def reference(
    heldout: Heldout, lists: Lists, popularity: dict[int, int], k: int
) -> dict[str, float]:
    """Every metric at k by its definition."""
    gathered: dict[str, list[float]] = {}
    for user, times in heldout.items():
        shown = [times.get(track, 0.0) for track in lists.get(user, [])[:k]]
        best = sorted(times.values(), reverse=True)
        for name, value in of_listener(shown, best, k).items():
            gathered.setdefault(name, []).append(value)
        listeners = [popularity.get(track, 0) for track in lists.get(user, [])[:k]]
        if listeners:
            surprise = fmean(
                -log2((count + 1) / (TRAINING_LISTENERS + 1)) for count in listeners
            )
            gathered.setdefault("novelty", []).append(surprise)
            share = fmean(listeners) / TRAINING_LISTENERS
            gathered.setdefault("popularity", []).append(share)
            of_list = of_tracks(user, lists[user][:k], times, popularity)
            for name, value in of_list.items():
                gathered.setdefault(name, []).append(value)
        gathered.setdefault("hit_time", []).extend(time for time in shown if time > 0)
    means = {name: fmean(values or [0]) for name, values in gathered.items()}
    listed = Counter(track for user in heldout for track in lists.get(user, [])[:k])
    counts = [listed[track] for track in range(TRACKS)]
    differences = fmean(abs(a - b) for a in counts for b in counts)
    gini = differences / (2 * fmean(counts)) if listed else 0
    return means | {"coverage": len(listed) / TRACKS, "gini": gini}


def of_tracks(
    user: int, tracks: list[int], times: dict[int, float], popularity: dict[int, int]
) -> dict[str, float]:
    """The metrics of a list by the artists of its tracks, and by tracks heard in training."""
    artists = [t // 3 if t in popularity else f"of {t}" for t in tracks]
    metrics: dict[str, float] = {"artists": len({*artists})}
    if len(tracks) > 1:
        metrics["distance"] = fmean(a != b for a, b in combinations(artists, 2))
    later = [track for track, time in times.items() if time > 0]
    if later:
        listed, own = (
            fmean(not HEARD[user, t] for t in part) for part in (tracks, later)
        )
        metrics["calibration"] = abs(listed - own)
    return metrics


def of_listener(shown: list[float], best: list[float], k: int) -> dict[str, float]:
    """The metrics of the listening times of recommended and of held-out tracks, longest first."""
    metrics: dict[str, float] = {}
    if best[0] > 0:
        metrics["graded_ndcg"] = dcg(shown) / dcg(best[:k])
    hits = [time >= MIN_TIME for time in shown]
    relevant = sum(time >= MIN_TIME for time in best)
    if relevant:
        metrics["ndcg"] = dcg([float(hit) for hit in hits]) / dcg(
            [1.0] * min(k, relevant)
        )
        metrics["precision"] = sum(hits) / k
        metrics["recall"] = sum(hits) / relevant
        metrics["map"] = sum(
            hit * sum(hits[:rank]) / rank for rank, hit in enumerate(hits, 1)
        ) / min(k, relevant)
        metrics["mrr"] = 1 / (hits.index(True) + 1) if any(hits) else 0
        metrics["hit_rate"] = float(any(hits))
    return metrics


def dcg(gains: list[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, 1))


track_ids = st.integers(0, TRACKS - 1)
listening = st.one_of(st.sampled_from([0.0, MIN_TIME, 1.0]), st.floats(1e-6, 1.0))
heldouts = st.dictionaries(
    st.integers(0, 6),
    st.dictionaries(track_ids, listening, min_size=1, max_size=TRACKS),
    min_size=1,
    max_size=5,
).filter(
    lambda heldout: any(
        time >= MIN_TIME for times in heldout.values() for time in times.values()
    )
)
lists_of_users = st.dictionaries(
    st.integers(0, 8), st.lists(track_ids, unique=True, max_size=6), max_size=6
)
popularities = st.dictionaries(track_ids, st.integers(0, TRAINING_LISTENERS))


@given(heldouts, lists_of_users, popularities)
@settings(max_examples=30)
def test_sql_equals_the_definitions_in_plain_python(
    heldout: Heldout, lists: Lists, popularity: dict[int, int]
) -> None:
    validation = score(validator_of(heldout, popularity), lists, width=6)
    for k in KS:
        expected = reference(heldout, lists, popularity, k)
        found = {name: validation.metrics[f"{name}@{k}"].value for name in expected}
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_ndcg_graded_ndcg_and_average_precision_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(11)
    times = np.where(rng.random((60, 40)) < 0.3, rng.random((60, 40)), 0)
    # every listener has something relevant: scikit-learn knows no listener without
    times[:, 0] = 0.9
    scores = rng.random((60, 40)) + 0.3 * times
    heldout = {
        user: {int(track): float(row[track]) for track in np.nonzero(row)[0]}
        for user, row in enumerate(times)
    }
    validator = validator_of(heldout, {}, ks=[1, 5, 40], catalogue_size=40)
    metrics = validator.score(np.arange(60), np.argsort(-scores, axis=1)).metrics
    relevant = times >= MIN_TIME
    expected = {"map@40": label_ranking_average_precision_score(relevant, scores)}
    for k in (1, 5, 40):
        expected[f"ndcg@{k}"] = ndcg_score(relevant, scores, k=k)
        expected[f"graded_ndcg@{k}"] = ndcg_score(times, scores, k=k)
    found = {name: metrics[name].value for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)
