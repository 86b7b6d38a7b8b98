"""Plays in order (Last.fm, 30Music): the tracks that a listener plays next, again and anew.

The first 80 % of each listener's plays train; the distinct tracks of the rest are the targets. The
newest fifth of the training plays chooses all parameters.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from benchmarks.real import peers, sequences
from benchmarks.real.files import read_table, write_table
from benchmarks.real.peers import Lister, Work
from benchmarks.real.product import baseline, choose, plan_search
from benchmarks.real.tables import Table, differences, mean_interval, ndcg, text
from looplib.arrays import AnyIntArray, BoolArray, FloatArray
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import read_plays
from recsys.dataset.layout import PLAYS_HELDOUT
from recsys.models.factors import Pool
from tests.recsys.opened import dataset_of

K, HELD_OUT = 30, 0.2
GAP = 20  # plays after which it is tomorrow
# Each figure has a title of its column, and the pool of the lists that are scored.
FIGURES: Mapping[str, tuple[str, Pool]] = {
    "now": ("all targets, now", "all"),
    "tomorrow": (f"after {GAP} plays", "all"),
    "repeat": ("heard before", "repeat"),
    "new": ("new only", "new"),
}
RULES = {"popular": "popular", "most_played": "most played", "latest": "latest"}
OURS = ("als", "item_knn", "activation", "blend")
BEST = "blend (ours)"
SIMPLE = (*RULES.values(), "activation (ours)")
COLUMNS = {name: name for name in ("listener", "track", "position", "artist")}
SETTINGS: Mapping[str, Any] = {
    "split": {"kind": "newest", "holdout": HELD_OUT},
    "models": {
        "als": {
            "factors": [64, 128],
            "alpha": [1.0, 10.0],
            "regularization": [0.1, 10.0],
        },
        "activation": {"decay": [0.3, 0.4, 0.5, 0.7]},
        "item_knn": {},
        "blend": {"moment": "now"},
    },
    "search": {"strategy": "halving"},
    "validation": {"ks": [K], "select": f"ndcg@{K}", "test_share": 0.0},
}
DISCOVERY: Mapping[str, Any] = {
    **SETTINGS,
    "run": "discovery",
    "models": {"als": SETTINGS["models"]["als"], "item_knn": {}},
    "validation": {**SETTINGS["validation"], "filter_seen": True},
}


def measure(file: Path, work: Work, title: str) -> Table:
    """Choose on the training plays, and score all systems on the rest."""
    folder = work.folder
    training = folder / "training.tsv"
    plays = read_table(file)
    write_table(training, plays[first_plays(plays)])
    repeats = plan_search([training], folder / "choose", COLUMNS, SETTINGS)
    # A search without the tracks heard chooses for new tracks.
    discovery = plan_search([training], folder / "choose", COLUMNS, DISCOVERY)
    dataset = dataset_of(plan_search([file], folder / "test", COLUMNS, SETTINGS))
    results = {
        name: score(baseline(kind, dataset), dataset) for kind, name in RULES.items()
    }
    both = (dataset_of(repeats), dataset)
    results |= peers.measure(work, title, peers.PLAYS, both, score)
    kinds = sequences.KINDS
    results |= peers.measure(work, title, kinds, both, score, is_ordered=True)
    choices, new_choices = choose(repeats), choose(discovery)
    for kind in OURS:
        choice = choices[kind]
        worth = score(choice.fit(dataset), dataset)
        if (new_choice := new_choices.get(kind, choice)) != choice:
            worth["new"] = score(new_choice.fit(dataset), dataset)["new"]
        if kind == "blend":  # as in an export
            export = replace(choice, params={**choice.params, "moment": "tomorrow"})
            worth["tomorrow"] = score(export.fit(dataset), dataset)["tomorrow"]
        results[f"{kind} (ours): {choice.models}"] = worth
    rows = [
        [name, *(text(mean_interval(worth[figure])) for figure in FIGURES)]
        for name, worth in results.items()
    ]
    notes = []
    for figure, (column, _) in FIGURES.items():
        values = {name: worth[figure] for name, worth in results.items()}
        notes += differences(values, BEST, SIMPLE, column)
    header = ("best of so many models", *(column for column, _ in FIGURES.values()))
    title = f"{title}: NDCG@{K}, {len(dataset.users):,} listeners"
    return Table(title, header, rows, notes)


def first_plays(plays: pd.DataFrame) -> BoolArray:
    """Mark the first 80 % of each listener's plays, rounded up; shape (plays,)."""
    by_listener = plays.groupby("listener")["position"]
    first = np.ceil(by_listener.transform("size") * (1 - HELD_OUT) - 1e-9)
    return np.asarray(by_listener.rank() <= first)


def score(model: Lister, dataset: Dataset) -> dict[str, FloatArray]:
    """Compute NDCG of each listener for the targets of each figure."""
    now = heldout_tracks(dataset)
    was_heard = flags(*dataset.matrix("training").nonzero(), dataset)
    repeats = csr_matrix(now.multiply(was_heard))
    new = csr_matrix(now - repeats)
    new.eliminate_zeros()
    targets = {"now": now, "tomorrow": later_tracks(dataset)}
    targets |= {"repeat": repeats, "new": new}
    pools = {pool for _, pool in FIGURES.values()}
    lists = {pool: model.recommend(K, pool) for pool in pools}
    return {
        figure: ndcg(lists[pool], targets[figure])
        for figure, (_, pool) in FIGURES.items()
    }


def heldout_tracks(dataset: Dataset) -> csr_matrix:
    """Arrange a listener's held-out tracks, 1 for each, shape (listeners, tracks)."""
    table = pq.read_table(dataset.heldout, columns=["user", "track"])
    return flags(table["user"].to_numpy(), table["track"].to_numpy(), dataset)


def later_tracks(dataset: Dataset) -> csr_matrix:
    """Arrange what a listener plays after the first held-out plays; see `heldout_tracks`."""
    is_heldout = np.load(dataset.path / PLAYS_HELDOUT)
    plays = read_plays(dataset, "all").select(is_heldout)
    is_later = np.repeat(plays.counts, plays.counts) - plays.age >= GAP
    return flags(plays.listeners[is_later], plays.tracks[is_later], dataset)


def flags(rows: AnyIntArray, columns: AnyIntArray, dataset: Dataset) -> csr_matrix:
    """Arrange places as 1, shape (listeners, tracks)."""
    shape = (len(dataset.users), len(dataset.tracks))
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    matrix.data[:] = 1
    return matrix
