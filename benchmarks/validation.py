"""Time of one validation against the same metrics by RecTools, ranx and pandas, on the same lists.

    python -m benchmarks.validation [--listeners 10000] [--tracks 50000]

The peers are optional; one that is not installed is named and left out. RecTools asks for NumPy 1 below Python 3.13,
but its metrics run with 2: install it with --no-deps. They compute NDCG, precision, recall, MAP, MRR and hit rate at
10 and 30. Ours adds graded NDCG, listening time of hits, novelty and coverage, and 95 % bootstrap intervals of all of
them. Each is given lists as a model makes them, an array of shape (listeners, 30), and has prepared the held-out
listening before. OPENBLAS_NUM_THREADS=1 makes it one thread each.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from analysis.validation.validator import Settings, Validation, Validator
from looplib.arrays import FloatArray, IntArray

KS = (10, 30)
MIN_TIME = 0.5
HELD_OUT_TRACKS = 120  # a listener, on average
REPEATS = 5
RESAMPLES = 1000
TOLERANCE = 1e-9
SHARED = ("ndcg", "precision", "recall", "map", "mrr", "hit_rate")  # the metrics that the peers have too

Values = Mapping[str, float]


@dataclass(frozen=True)
class Data:
    """Held-out listening and recommendations.

    Attributes:
        users: Of each held-out pair, shape (pairs,).
        tracks: The same.
        times: The same; listening time.
        lists: Recommendations, shape (listeners, 30).
        catalogue_size: Tracks.
    """

    users: IntArray
    tracks: IntArray
    times: FloatArray
    lists: IntArray
    catalogue_size: int


def make_data(listeners: int, catalogue_size: int) -> Data:
    """Lists of 30 of which about half were heard; a fifth of the held-out pairs is relevant."""
    rng = np.random.default_rng(0)
    pairs = listeners * HELD_OUT_TRACKS
    # Popular tracks first: squares of uniform numbers.
    drawn = rng.integers(0, listeners, pairs) * catalogue_size + _popular(rng, pairs, catalogue_size)
    users, tracks = np.divmod(np.unique(drawn), catalogue_size)
    times = 0.5 * rng.random(len(users)) + 0.5 * (rng.random(len(users)) < 0.2)
    heard = np.split(tracks, np.searchsorted(users, np.arange(1, listeners)))
    lists = np.stack([_list(rng, of_user, catalogue_size) for of_user in heard])
    return Data(users, tracks, times, lists, catalogue_size)


def _popular(rng: np.random.Generator, count: int, catalogue_size: int) -> IntArray:
    return (rng.random(count) ** 2 * catalogue_size).astype(np.int64)


def _list(rng: np.random.Generator, heard: IntArray, catalogue_size: int) -> IntArray:
    depth = max(KS)
    own = rng.permutation(heard)[: depth // 2]
    others = np.setdiff1d(_popular(rng, 3 * depth, catalogue_size), own)
    return rng.permutation(np.concatenate([own, rng.permutation(others)[: depth - len(own)]]))


def best_time(run: Callable[[], object]) -> float:
    """The shortest of some runs, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def validator_of(data: Data) -> Validator:
    """Ours, on all the held-out pairs."""
    tracks, listeners = np.unique(data.tracks, return_counts=True)
    return Validator(
        pa.table({"user": data.users, "track": data.tracks, "time": data.times}),
        pa.table({"track": tracks, "listeners": listeners}),
        catalogue_size=data.catalogue_size,
        training_listeners=len(data.lists),
        settings=Settings(ks=KS, min_time=MIN_TIME, resamples=RESAMPLES),
    )


def by_rectools(data: Data) -> Callable[[], Values]:
    """RecTools' `calc_metrics`, with the NDCG that divides by what is possible."""
    pandas, metrics = importlib.import_module("pandas"), importlib.import_module("rectools.metrics")
    relevant = data.times >= MIN_TIME
    interactions = pandas.DataFrame({"user_id": data.users[relevant], "item_id": data.tracks[relevant]})
    wanted = {
        f"{name}@{k}": metric
        for k in KS
        for name, metric in {
            "ndcg": metrics.NDCG(k=k, divide_by_achievable=True),
            "precision": metrics.Precision(k=k),
            "recall": metrics.Recall(k=k),
            "map": metrics.MAP(k=k),
            "mrr": metrics.MRR(k=k),
            "hit_rate": metrics.HitRate(k=k),
        }.items()
    }

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        frame = pandas.DataFrame({"user_id": users, "item_id": tracks, "rank": ranks})
        return {key: float(value) for key, value in metrics.calc_metrics(wanted, frame, interactions).items()}

    return run


def by_ranx(data: Data) -> Callable[[], Values]:
    """Compiled by numba; ids are strings."""
    pandas, ranx = importlib.import_module("pandas"), importlib.import_module("ranx")
    relevant = data.times >= MIN_TIME
    columns = {"q_id": data.users[relevant].astype(str), "doc_id": data.tracks[relevant].astype(str)}
    qrels = ranx.Qrels.from_df(pandas.DataFrame({**columns, "score": 1}))
    wanted = [f"{name}@{k}" for name in SHARED for k in KS]

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        frame = pandas.DataFrame({"q_id": users.astype(str), "doc_id": tracks.astype(str), "score": 1 / ranks})
        found = ranx.evaluate(qrels, ranx.Run.from_df(frame), wanted, threads=1, make_comparable=True)
        return {key: float(value) for key, value in found.items()}

    return run


def by_pandas(data: Data) -> Callable[[], Values]:
    """A merge and group-bys, as one would write them."""
    pandas = importlib.import_module("pandas")
    relevant = data.times >= MIN_TIME
    truth = pandas.DataFrame({"user": data.users[relevant], "track": data.tracks[relevant]})
    count = truth.groupby("user").size()
    ideals = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, max(KS) + 2)))])

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        frame = pandas.DataFrame({"user": users, "track": tracks, "rank": ranks})
        hits = frame.merge(truth, on=["user", "track"]).sort_values(["user", "rank"])
        hits["gain"] = 1 / np.log2(hits["rank"] + 1)
        hits["precision"] = (hits.groupby("user").cumcount() + 1) / hits["rank"]
        found: dict[str, float] = {}
        for k in KS:
            within = hits[hits["rank"] <= k].groupby("user")
            of_user = within.agg(
                n=("rank", "size"), dcg=("gain", "sum"), ap=("precision", "sum"), first=("rank", "min")
            )
            best = np.minimum(count, k)
            sums = {
                "ndcg": (of_user["dcg"] / ideals[best[of_user.index]]).sum(),
                "precision": of_user["n"].sum() / k,
                "recall": (of_user["n"] / count[of_user.index]).sum(),
                "map": (of_user["ap"] / best[of_user.index]).sum(),
                "mrr": (1 / of_user["first"]).sum(),
                "hit_rate": len(of_user),
            }
            found |= {f"{name}@{k}": float(value / len(count)) for name, value in sums.items()}
        return found

    return run


def _flat(lists: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """User, rank and track of every recommendation."""
    users, columns = np.indices(lists.shape)
    return users.ravel(), columns.ravel() + 1, lists.ravel()


PEERS: dict[str, Callable[[Data], Callable[[], Values]]] = {
    "RecTools": by_rectools,
    "ranx": by_ranx,
    "pandas": by_pandas,
}


def compare_peers(data: Data, ours: Validation) -> None:
    """Prints each peer's time and where its values are not ours."""
    for name, prepare in PEERS.items():
        try:
            run = prepare(data)
        except ModuleNotFoundError as error:
            print(f"{name:34}{'—':>8}  not installed ({error.name})")
            continue
        values = run()
        differing = [key for key, value in values.items() if abs(value - ours.metrics[key].value) > TOLERANCE]
        note = f"defined otherwise: {', '.join(differing)}" if differing else f"equal to ours within {TOLERANCE}"
        print(f"{name:34}{best_time(run) * 1e3:8.0f}  {note}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Time of one validation, against peers.")
    parser.add_argument("--listeners", type=int, default=10_000)
    parser.add_argument("--tracks", type=int, default=50_000)
    arguments = parser.parse_args()
    data = make_data(arguments.listeners, arguments.tracks)
    relevant = np.count_nonzero(data.times >= MIN_TIME)
    print(f"{arguments.listeners:,} lists of {max(KS)}, {len(data.users):,} held-out pairs, {relevant:,} relevant\n")

    print(f"{'':34}{'ms':>8}")
    start = time.perf_counter()
    validator = validator_of(data)
    print(f"{'ours: reading the held-out, once':34}{(time.perf_counter() - start) * 1e3:8.0f}")
    users = np.arange(len(data.lists))
    ours = validator.score(users, data.lists)
    score_ms = best_time(lambda: validator.score(users, data.lists)) * 1e3
    print(f"{'ours: score':34}{score_ms:8.0f}  {len(ours.metrics)} metrics, intervals from {RESAMPLES:,} resamples")
    compare_peers(data, ours)


if __name__ == "__main__":
    main()
