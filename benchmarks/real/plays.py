"""Plays in order (Last.fm, 30Music): the tracks that a listener plays next, again and anew.

The first 80 % of each listener's plays train; the distinct tracks of the rest are the targets. The
newest fifth of the training plays chooses all parameters.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis.tables.columns import Columns, Reading
from benchmarks.real import peers
from benchmarks.real.peers import Lister, Work
from benchmarks.real.product import baseline, make_split
from benchmarks.real.tables import Table, compare, mean_interval, ndcg, text
from looplib.arrays import BoolArray, FloatArray, IntArray
from recsys.dataset.dataset import Dataset
from recsys.models.factors import Pool

K, HELD_OUT = 30, 0.2
POOLS: Mapping[Pool, str] = {
    "all": "all targets",
    "repeat": "heard before",
    "new": "new only",
}
RULES = {"popular": "popular", "most_played": "most played", "latest": "latest"}
OURS = ("als", "item_knn", "activation", "blend")
READING = Reading(
    Columns("listener", "track", position="position", artist="artist"), delimiter="\t"
)
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
        "blend": {},
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
    write_training(file, training)
    again = make_split([training], folder / "choose", READING, SETTINGS)
    choices, validation = again.choose()
    # what suits new tracks is chosen by a search that leaves out what was heard
    anew = make_split([training], folder / "choose", READING, DISCOVERY)
    discoveries = {**choices, **anew.choose()[0]}
    chosen = peers.choose(
        work.tried, validation, lambda model: _means(score(model, validation))
    )
    for kind in OURS:
        own, anew_own = choices[kind].fit, discoveries[kind].fit
        chosen[f"{kind} (ours)"] = {"all": own, "repeat": own, "new": anew_own}
    dataset = make_split([file], folder / "test", READING, SETTINGS).dataset()
    found = {
        name: score(baseline(kind, dataset), dataset) for kind, name in RULES.items()
    }
    for name, best in chosen.items():
        found[name] = {}
        for fit in dict.fromkeys(best.values()):
            pools = [pool for pool in POOLS if best[pool] == fit]
            found[name] |= score(fit(dataset), dataset, pools)
    rows = [
        [name, *(text(mean_interval(worth[pool])) for pool in POOLS)]
        for name, worth in found.items()
    ]
    return Table(
        f"{title}: NDCG@{K}, {len(dataset.users):,} listeners",
        ("", *POOLS.values()),
        rows,
        _notes(found),
    )


def write_training(file: Path, target: Path) -> None:
    """Write the first plays of each listener in a file of plays."""
    options = pyarrow.csv.ParseOptions(delimiter="\t")
    table = pyarrow.csv.read_csv(file, parse_options=options)
    is_first = first_plays(table["listener"].to_numpy(), table["position"].to_numpy())
    pyarrow.csv.write_csv(
        table.filter(pa.array(is_first)),
        target,
        pyarrow.csv.WriteOptions(delimiter="\t", quoting_style="none"),
    )


def first_plays(listener: IntArray, position: IntArray) -> BoolArray:
    """Return whether a play is among its listener's first 80 %, rounded up; shape (plays,)."""
    _, row, counts = np.unique(listener, return_inverse=True, return_counts=True)
    order = np.lexsort((position, row))
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - starts[row[order]]
    kept = np.ceil(counts * (1 - HELD_OUT) - 1e-9)
    is_first: BoolArray = rank < kept[row]
    return is_first


def score(
    model: Lister, dataset: Dataset, pools: Iterable[Pool] = POOLS
) -> dict[Pool, FloatArray]:
    """Return NDCG of each listener for all targets, those heard before and the new ones."""
    targets = heldout_tracks(dataset)
    was_heard = dataset.matrix("training")
    was_heard.data[:] = 1
    heard = csr_matrix(targets.multiply(was_heard))
    of_pool = {"all": targets, "repeat": heard, "new": csr_matrix(targets - heard)}
    found: dict[Pool, FloatArray] = {}
    for pool in pools:
        of_pool[pool].eliminate_zeros()
        found[pool] = ndcg(model.recommend(K, pool), of_pool[pool])
    return found


def heldout_tracks(dataset: Dataset) -> csr_matrix:
    """Return 1 for each held-out track of a listener, shape (listeners, tracks)."""
    table = pq.read_table(dataset.heldout, columns=["user", "track"])
    rows, columns = table["user"].to_numpy(), table["track"].to_numpy()
    shape = (len(dataset.users), len(dataset.tracks))
    targets = csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    targets.data[:] = 1
    return targets


def _means(values: Mapping[Pool, FloatArray]) -> dict[str, float]:
    return {pool: float(np.nanmean(found)) for pool, found in values.items()}


def _notes(found: Mapping[str, Mapping[Pool, FloatArray]]) -> list[str]:
    ours = "blend (ours)"
    rules = list(RULES.values())
    notes = []
    for pool, name in POOLS.items():
        values = {system: worth[pool] for system, worth in found.items()}
        best, better = compare(values, ours, rules)
        notes.append(
            f"{ours} less the best simple rule, {name}: {text(better)} ({best})"
        )
    return notes
