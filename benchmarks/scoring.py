"""Time of one score against the same metrics by RecTools and ranx, on the same lists.

    python -m benchmarks.scoring

A peer that is not installed is named and left out (RecTools with --no-deps). They compute NDCG, precision, recall, MAP,
MRR and hit rate at 10 and 30. Ours adds graded NDCG, listening time of hits, novelty and coverage, and 95 % bootstrap
intervals of all of them. Each has prepared the held-out listening before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from analysis.validation.validator import Settings, Validator
from benchmarks.harness import console, seconds, show_machine, show_turns, take_turns
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
    console.print(f"ours: {len(expected.metrics)} metrics with intervals")
    for name, prepare in {"RecTools": by_rectools, "ranx": by_ranx}.items():
        try:
            kinds[name] = prepare(data)
        except ModuleNotFoundError as error:
            console.print(f"{name}: left out, {error.name} is not installed")
            continue
        values = prepare(data)()
        differing = [key for key, value in values.items() if abs(value - expected.metrics[key].value) > TOLERANCE]
        console.print(f"{name}: {len(values)} metrics, defined otherwise: {', '.join(differing) or 'none'}")
    turns = take_turns({name: partial(seconds, run) for name, run in kinds.items()}, repeats)
    times_ms = {name: [1e3 * wall_s for wall_s, _ in runs] for name, runs in turns.items()}
    show_turns(f"{listeners:,} lists of {max(KS)}, {len(data.users):,} held-out pairs; ms", times_ms, "ours", 0)
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
    ranx = import_module("ranx")
    relevant = data.times >= MIN_TIME
    qrels = ranx.Qrels(_by_user(data.users[relevant], data.tracks[relevant], np.ones(relevant.sum(), np.int64)))
    wanted = [f"{name}@{k}" for name in NAMES for k in KS]

    def run() -> Values:
        users, ranks, tracks = _flat(data.lists)
        lists = ranx.Run(_by_user(users, tracks, 1 / ranks))
        found = ranx.evaluate(qrels, lists, wanted, threads=1, make_comparable=True)
        return {key: float(value) for key, value in found.items()}

    return run


def _by_user(users: IntArray, tracks: IntArray, scores: FloatArray | IntArray) -> dict[str, dict[str, float]]:
    """Return scores by user and track, as ranx takes them; the users are ascending."""
    names, values = tracks.astype(str).tolist(), scores.tolist()
    found, firsts = np.unique(users, return_index=True)
    ends = [*firsts[1:].tolist(), len(users)]
    slices = zip(found.astype(str).tolist(), map(slice, firsts.tolist(), ends), strict=True)
    return {user: dict(zip(names[own], values[own], strict=True)) for user, own in slices}


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
