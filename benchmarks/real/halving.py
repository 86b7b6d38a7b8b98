"""Halving beside the grid of the same space: is its winner tied with the grid's, and at what cost?

The cost is what the load of the machine does not change: CPU seconds of all fits, and their
iterations times factors.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from analysis.tables.columns import Reading
from benchmarks.real import pairs
from benchmarks.real.peers import Work
from benchmarks.real.product import make_split
from benchmarks.real.tables import Table
from looplib.arrays import FloatArray, IntArray
from recsys.search.folder import LEADERBOARD, LEDGER
from recsys.search.leaderboard import describe
from recsys.search.ledger import read_ledger

SELECT = "ndcg@30"
Space = Mapping[str, Sequence[float]]
MOVIELENS: Space = {
    "factors": [64, 128, 192],
    "regularization": [0.003, 0.01, 0.03],
    "unobserved_weight": [0.1, 0.3],
}
LFM2B: Space = {
    "factors": [64, 128],
    "regularization": [0.003, 0.01, 0.03],
    "unobserved_weight": [0.03, 0.1],
}


def measure_movielens(file: Path, work: Work) -> Table:
    """Search in what was liked in four of the folds."""
    user, item, level, fold = pairs.read_columns(file, "user", "item", "level", "fold")
    is_known = (level > 0) & (fold < fold.max())
    return _search("MovieLens-1M", user[is_known], item[is_known], work, MOVIELENS)


def measure_lfm2b(file: Path, work: Work) -> Table:
    """Search in all pairs."""
    user, item = pairs.read_columns(file, "user_id:token", "item_id:token")
    return _search("LFM-2b sample", user, item, work, LFM2B)


def measure_plays(file: Path, work: Work, title: str) -> Table:
    """Search in the pairs of a listener and a track that was played."""
    user, item = pairs.read_columns(file, "listener", "track")
    user, item = np.unique(np.stack((user, item)), axis=1)
    return _search(title, user, item, work, LFM2B)


def _search(
    title: str, user: IntArray, item: IntArray, work: Work, space: Space
) -> Table:
    file = work.folder / "pairs.tsv"
    pairs.write_pairs(file, user, item)
    return compare(title, file, work.folder / "store", pairs.READING, space)


def compare(
    title: str, file: Path, store: Path, reading: Reading, space: Space
) -> Table:
    """Search by both strategies; the grid's leaderboard says what is tied with its winner."""
    rows, costs, boards = [], [], []
    for strategy in ("grid", "halving"):
        models = {"als": {**space, "alpha": 1.0, "nu": 1.0}}
        search = {"strategy": strategy}
        validation = {
            "min_time": 1,
            "select": SELECT,
            "filter_seen": True,
            "test_share": 0.0,
        }
        settings = {
            "run": strategy,
            "models": models,
            "search": search,
            "validation": validation,
        }
        split = make_split([file], store, reading, settings)
        split.choose()
        run = Path(split.config.run)
        board = pq.read_table(run / LEADERBOARD).to_pylist()
        boards.append([row for row in board if row["model"] == "als"])
        lines, _ = read_ledger(run / LEDGER)
        trials = {line.trial.id: line.trial for line in lines}
        cost = _cost(run)
        costs.append(cost)
        best = boards[-1][0]
        name = describe(trials[best["trial"]])
        cells = (f"{best[SELECT]:.4f}", f"{cost[0]:.1f}", f"{cost[1]:,.0f}")
        rows.append([f"{strategy}: {name}", *cells])
    grid, halving = boards
    (own,) = [row for row in grid if row["trial"] == halving[0]["trial"]]
    tied = "tied with the grid's" if own["ties"] else "worse than the grid's"
    cpu, work = costs[1] / costs[0]
    notes = [f"halving's winner is {tied}; its cost is {cpu:.2f} x, {work:.2f} x"]
    header = ("", SELECT, "CPU seconds of fits", "iterations x factors")
    return Table(f"{title}: halving beside the grid", header, rows, notes)


def _cost(run: Path) -> FloatArray:
    """Return CPU seconds of all ALS fits of a run, and their iterations times factors."""
    lines, _ = read_ledger(run / LEDGER)
    spent: dict[str, tuple[float, float]] = {}
    for line in lines:
        if line.trial.kind == "als":
            before = spent.get(line.trial.id, (0.0, 0.0))
            work = float(line.iteration * line.trial.params["factors"])
            spent[line.trial.id] = max(before[0], line.fit_s), max(before[1], work)
    total: FloatArray = np.array(list(spent.values())).sum(axis=0)
    return total
