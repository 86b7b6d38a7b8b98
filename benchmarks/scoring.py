"""Time of one score against the same metrics by RecTools, ranx and pandas, on the same lists.

    python -m benchmarks.scoring

A peer that is not installed is named and left out (RecTools with --no-deps). They compute NDCG, precision, recall, MAP,
MRR and hit rate at 10 and 30. Ours adds graded NDCG, listening time of hits, novelty and coverage, and 95 % bootstrap
intervals of all of them. Each has prepared the held-out listening before.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from analysis.validation.validator import Settings, Validator
from benchmarks.harness import show, show_machine, take_turns
from looplib.arrays import FloatArray, IntArray

KS = (10, 30)
MIN_TIME = 0.5
HELD_OUT_TRACKS = 120  # a listener, on average
TOLERANCE = 1e-9
NAMES = ("ndcg", "precision", "recall", "map", "mrr", "hit_rate")
Values = Mapping[str, float]


@dataclass(frozen=True)
class Data:
    """Held-out pairs (user, track, listening time; one entry each), and lists of shape (listeners, 30)."""

    users: IntArray
    tracks: IntArray
    times: FloatArray
    lists: IntArray
    catalogue_size: int


def main(listeners: int = 10_000, tracks: int = 50_000, repeats: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Score in turns and print the table."""
    data = make_data(listeners, tracks)
    validator = validator_of(data)
    users = np.arange(listeners)
    expected = validator.score(users, data.lists)
    kinds: dict[str, Callable[[], object]] = {"ours": lambda: validator.score(users, data.lists)}
    notes = {"ours": f"{len(expected.metrics)} metrics with intervals"}
    for name, prepare in {"RecTools": by_rectools, "ranx": by_ranx, "pandas": by_pandas}.items():
        try:
            kinds[name] = prepare(data)
        except ModuleNotFoundError as error:
            notes[name] = f"not installed ({error.name})"
            continue
        values = prepare(data)()
        differing = [key for key, value in values.items() if abs(value - expected.value(key)) > TOLERANCE]
        notes[name] = f"defined otherwise: {', '.join(differing)}" if differing else f"equal within {TOLERANCE}"
    times = take_turns({name: lambda run=run: _seconds(run) for name, run in kinds.items()}, repeats)
    rows = [(name, f"{1e3 * min(times[name]):.0f}" if name in times else "", note) for name, note in notes.items()]
    show(f"{listeners:,} lists of {max(KS)}, {len(data.users):,} held-out pairs; fastest", ("", "ms", ""), rows)
    show_machine("duckdb", "numpy")


def make_data(listeners: int, catalogue_size: int) -> Data:
    """Make lists of 30 of which about half were heard; a fifth of the held-out pairs is relevant."""
    rng = np.random.default_rng(0)
    pairs = listeners * HELD_OUT_TRACKS
    drawn = rng.integers(0, listeners, pairs) * catalogue_size + _popular(rng, pairs, catalogue_size)
    users, tracks = np.divmod(np.unique(drawn), catalogue_size)
    times = 0.5 * rng.random(len(users)) + 0.5 * (rng.random(len(users)) < 0.2)
    heard = np.split(tracks, np.searchsorted(users, np.arange(1, listeners)))
    lists = np.stack([_list(rng, of_user, catalogue_size) for of_user in heard])
    return Data(users, tracks, times, lists, catalogue_size)


def validator_of(data: Data) -> Validator:
    """Return our validator of all the held-out pairs."""
    tracks, listeners = np.unique(data.tracks, return_counts=True)
    return Validator(
        pa.table({"user": data.users, "track": data.tracks, "time": data.times}),
        pa.table({"track": tracks, "listeners": listeners}),
        catalogue_size=data.catalogue_size,
        training_listeners=len(data.lists),
        settings=Settings(ks=KS, min_time=MIN_TIME, resamples=1000),
    )


def by_rectools(data: Data) -> Callable[[], Values]:
    """Prepare RecTools' `calc_metrics`, with the NDCG that divides by what is possible."""
    pandas, metrics = import_module("pandas"), import_module("rectools.metrics")
    relevant = data.times >= MIN_TIME
    interactions = pandas.DataFrame({"user_id": data.users[relevant], "item_id": data.tracks[relevant]})
    made = (metrics.NDCG, metrics.Precision, metrics.Recall, metrics.MAP, metrics.MRR, metrics.HitRate)
    options = {"ndcg": {"divide_by_achievable": True}}
    wanted = {
        f"{name}@{k}": make(k=k, **options.get(name, {})) for k in KS for name, make in zip(NAMES, made, strict=True)
    }

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        frame = pandas.DataFrame({"user_id": users, "item_id": tracks, "rank": ranks})
        return {key: float(value) for key, value in metrics.calc_metrics(wanted, frame, interactions).items()}

    return run


def by_ranx(data: Data) -> Callable[[], Values]:
    """Prepare ranx, which numba compiles; ids are texts."""
    pandas, ranx = import_module("pandas"), import_module("ranx")
    relevant = data.times >= MIN_TIME
    columns = {"q_id": data.users[relevant].astype(str), "doc_id": data.tracks[relevant].astype(str)}
    qrels = ranx.Qrels.from_df(pandas.DataFrame({**columns, "score": 1}))
    wanted = [f"{name}@{k}" for name in NAMES for k in KS]

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        frame = pandas.DataFrame({"q_id": users.astype(str), "doc_id": tracks.astype(str), "score": 1 / ranks})
        found = ranx.evaluate(qrels, ranx.Run.from_df(frame), wanted, threads=1, make_comparable=True)
        return {key: float(value) for key, value in found.items()}

    return run


def by_pandas(data: Data) -> Callable[[], Values]:
    """Prepare a merge and group-bys, as one would write them."""
    pandas = import_module("pandas")
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
            of_user = (
                hits[hits["rank"] <= k]
                .groupby("user")
                .agg(n=("rank", "size"), dcg=("gain", "sum"), ap=("precision", "sum"), first=("rank", "min"))
            )
            best = np.minimum(count, k)[of_user.index]
            sums = (
                (of_user["dcg"] / ideals[best]).sum(),
                of_user["n"].sum() / k,
                (of_user["n"] / count[of_user.index]).sum(),
                (of_user["ap"] / best).sum(),
                (1 / of_user["first"]).sum(),
                len(of_user),
            )
            found |= {f"{name}@{k}": float(value / len(count)) for name, value in zip(NAMES, sums, strict=True)}
        return found

    return run


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _popular(rng: np.random.Generator, count: int, catalogue_size: int) -> IntArray:
    return (rng.random(count) ** 2 * catalogue_size).astype(np.int64)


def _list(rng: np.random.Generator, heard: IntArray, catalogue_size: int) -> IntArray:
    depth = max(KS)
    own = rng.permutation(heard)[: depth // 2]
    others = np.setdiff1d(_popular(rng, 3 * depth, catalogue_size), own)
    return rng.permutation(np.concatenate([own, rng.permutation(others)[: depth - len(own)]]))


def _flat(lists: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return user, rank and track of every recommendation."""
    users, columns = np.indices(lists.shape)
    return users.ravel(), columns.ravel() + 1, lists.ravel()


if __name__ == "__main__":
    typer.run(main)
