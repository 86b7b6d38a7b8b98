"""Off-policy estimates against the truth of simulated worlds, and what an estimate costs.

    python -m benchmarks.offpolicy seed [--world out/seed/world] [--store out/seed/store]
    python -m benchmarks.offpolicy worlds [--worlds 100]

`seed` values popular, random and ALS lists on the held-out sessions of a store whose search has been run, and serves
the same lists to the world's listeners. `worlds` makes many small worlds, and says how often the 95 % intervals cover
the truth, and how far the estimates are off on average. A log of a small world has all of its listeners, while the
intervals are for listeners like them: they cover the truth of these very listeners more often than in 95 of 100 worlds.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from analysis import queries
from analysis.offpolicy import Holdout, OffPolicy, OffPolicyEstimate, Serving, read_sessions, sessions_of
from benchmarks.served import Truth, find_truth, random_events
from looplib.arrays import FloatArray, IntArray
from looplib.config import load_config
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.models.als import Als, AlsParams
from recsys.models.lists import personal_lists
from recsys.store.remote import open_store
from sim.listening.sessions import make_model
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world

DEPTH = 30
SERVINGS: tuple[Serving, ...] = ("random", "in-order")
METHODS = ("ips", "snips", "dr")
REPEATS = 5
TRUTH_SESSIONS = 40_000
# A world in which a held-out log of 20,000 sessions gives about as many matches as one of the seed's.
SMALL_WORLD = ("catalogue.tracks=1000", "catalogue.artists=220", "catalogue.genres=20", "listeners.listeners=300")
SMALL_SESSIONS = 12_000
SMALL_TRUTH_SESSIONS = 20_000


@dataclass(frozen=True)
class Lists:
    """Lists of all listeners, and scores of the same shape where the model has them."""

    tracks: IntArray
    scores: FloatArray | None = None


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["seed", "worlds"])
    parser.add_argument("--world", type=Path, default=Path("out/seed/world"))
    parser.add_argument("--store", type=Path, default=Path("out/seed/store"))
    parser.add_argument("--worlds", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.what == "seed":
        run_seed(arguments.world, arguments.store)
    else:
        run_worlds(arguments.worlds)


def run_seed(world: Path, store_path: Path) -> None:
    """Estimates, their cost, and the truth, at the size of a store."""
    store = open_store(store_path)
    dataset = open_dataset(next((store_path / "cache").iterdir()))
    began = time.perf_counter()
    with queries.connect() as connection:
        files = [file for bucket in range(store.buckets) for file in store.bucket_files(bucket)]
        queries.attach_parquet(connection, "events", files)
        sessions = read_sessions(connection, Holdout("session_hash", share=0.15, seed=42))
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    scorer = OffPolicy(sessions)
    print(
        f"{len(sessions.track):,} held-out events read in {read_s:.1f} s, {time.perf_counter() - began:.1f} s to index"
    )
    model = make_model(load_world(world))
    for name, lists in _all_lists(dataset).items():
        for serving in SERVINGS:
            estimate, seconds = _timed(scorer, dataset.users, lists, serving)
            truth = find_truth(model, lists.tracks, serving, TRUTH_SESSIONS, seed=1)
            _print_row(name, serving, estimate, truth, seconds)


def run_worlds(count: int) -> None:
    """Coverage and bias over small worlds."""
    found: dict[tuple[str, Serving, str], list[tuple[float, bool, float, float]]] = {}
    for name, serving, estimate, truth in _estimates_of_worlds(count):
        for method in METHODS:
            one = getattr(estimate, method)
            if one is not None:
                hit = one.lower <= truth.at_random_requests <= one.upper
                row = (one.value - truth.at_random_requests, hit, estimate.ess, one.value - truth.served)
                found.setdefault((name, serving, method), []).append(row)
    print(f"{count} worlds: error against the value at random requests, coverage of it, and error against serving")
    for (name, serving, method), rows in found.items():
        errors, hits, ess, served = np.array(rows, dtype=np.float64).T
        standard = errors.std(ddof=1) / np.sqrt(len(errors))
        print(
            f"{name:8} {serving:9} {method:6} bias {errors.mean():+.4f} ± {standard:.4f}  covered {hits.mean():.1%}  "
            f"ESS {ess.mean():5.0f}  served {served.mean():+.4f}"
        )


def _estimates_of_worlds(count: int) -> Iterator[tuple[str, Serving, OffPolicyEstimate, Truth]]:
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            overrides = [*SMALL_WORLD, f"seed={number}", "calibration=null"]
            make_world(load_config(WorldConfig, Path("configs/world/demo.yaml"), overrides), Path(folder) / "world")
            model = make_model(load_world(Path(folder) / "world"))
        scorer = OffPolicy(sessions_of(random_events(model, SMALL_SESSIONS, seed=2 * number)), seed=number)
        training = random_events(model, SMALL_SESSIONS, seed=2 * number + 1)
        shape = (model.world.listeners, model.world.tracks)
        pairs = (training["user"].to_numpy(), training["track"].to_numpy())
        heard = csr_matrix((training["time"].to_numpy(), pairs), shape=shape, dtype=np.float32)
        popular = np.argsort(-np.asarray(heard.sum(axis=0)).ravel(), kind="stable")[:DEPTH]
        for name, lists in (("popular", Lists(np.tile(popular, (shape[0], 1)))), ("als", _als_lists(heard))):
            for serving in SERVINGS:
                estimate = scorer.value_lists(np.arange(shape[0]), lists.tracks, serving=serving, scores=lists.scores)
                yield name, serving, estimate, find_truth(model, lists.tracks, serving, SMALL_TRUTH_SESSIONS, number)


def _als_lists(heard: csr_matrix) -> Lists:
    model = Als(heard, AlsParams(16, 10.0, 10.0, 3), 1, 1)
    model.sweep(5)
    scores = model.user_factors @ model.item_factors.T
    tracks = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return Lists(tracks, np.take_along_axis(scores, tracks, axis=1).astype(np.float64))


def _all_lists(dataset: Dataset) -> Mapping[str, Lists]:
    listeners, tracks = len(dataset.users), len(dataset.tracks)
    rng = np.random.default_rng(1)
    lists = {
        "random": Lists(np.stack([rng.choice(tracks, DEPTH, replace=False) for _ in range(listeners)])),
        "popular": Lists(np.tile(dataset.tracks[dataset.most_popular("train", DEPTH)], (listeners, 1))),
    }
    for factors in (32, 64):
        model = Als(dataset.matrix("train"), AlsParams(factors, 10.0, 10.0, 3), 42, 2)
        model.sweep(8)
        columns = personal_lists(model, dataset, "train", DEPTH, 2)
        scores = np.einsum("uf,ukf->uk", model.user_factors, model.item_factors[columns]).astype(np.float64)
        lists[f"als {factors}"] = Lists(dataset.tracks[columns], scores)
    return lists


def _timed(scorer: OffPolicy, users: IntArray, lists: Lists, serving: Serving) -> tuple[OffPolicyEstimate, float]:
    """The estimate, and the shortest of some times it took."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        estimate = scorer.value_lists(users, lists.tracks, serving=serving, scores=lists.scores)
        seconds.append(time.perf_counter() - began)
    return estimate, min(seconds)


def _print_row(name: str, serving: Serving, estimate: OffPolicyEstimate, truth: Truth, seconds: float) -> None:
    values = "  ".join(
        f"{method} {one.value:.4f} [{one.lower:.4f}, {one.upper:.4f}]"
        for method in METHODS
        if (one := getattr(estimate, method)) is not None
    )
    print(
        f"{name:8} {serving:9} {values}  ESS {estimate.ess:.0f}  at random requests {truth.at_random_requests:.4f}  "
        f"served {truth.served:.4f} ({estimate.value / truth.served - 1:+.1%})  "
        f"a session {truth.time_per_session:.3f}  {seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
