"""Halving beside the grid of the same space: is its winner tied with the grid's, and at what cost?

The cost is in CPU seconds of all fits, which the load of the machine hardly changes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.real import pairs
from benchmarks.real.files import read_columns, write_pairs
from benchmarks.real.peers import Work
from benchmarks.real.product import choose, plan_search
from benchmarks.real.tables import Table
from looplib.arrays import IntArray
from recsys.run import LEADERBOARD, LEDGER
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
    user, item, level, fold = read_columns(file, "user", "item", "level", "fold")
    is_training = (level > 0) & (fold < fold.max())
    return _search(
        "MovieLens-1M", user[is_training], item[is_training], work, MOVIELENS
    )


def measure_lfm2b(file: Path, work: Work) -> Table:
    """Search in all pairs."""
    user, item = read_columns(file, "user_id:token", "item_id:token")
    return _search("LFM-2b sample", user, item, work, LFM2B)


def measure_plays(file: Path, work: Work, title: str) -> Table:
    """Search in the pairs of a listener and a track that was played."""
    user, item = np.unique(read_columns(file, "listener", "track"), axis=1)
    return _search(title, user, item, work, LFM2B)


def _search(
    title: str, user: IntArray, item: IntArray, work: Work, space: Space
) -> Table:
    """Search by both strategies; the grid's leaderboard says what is tied with its winner."""
    file = work.folder / "pairs.tsv"
    write_pairs(file, user, item)
    rows, costs, boards = [], [], []
    for strategy in ("grid", "halving"):
        settings = {
            "run": strategy,
            "models": {"als": {**space, "alpha": 1.0, "nu": 1.0}},
            "search": {**pairs.SEARCH, "strategy": strategy},
            "validation": {
                "min_time": 1,
                "select": SELECT,
                "filter_seen": True,
                "test_share": 0.0,
            },
        }
        config = plan_search([file], work.folder / "store", pairs.COLUMNS, settings)
        choose(config)
        run = Path(config.run)
        rows_of_run = pq.read_table(run / LEADERBOARD).to_pylist()
        board = [row for row in rows_of_run if row["model"] == "als"]
        best = board[0]
        cost_s = _fits_s(run)
        name = ", ".join(f"{axis} {best[axis]:g}" for axis in space)
        rows.append([f"{strategy}: {name}", f"{best[SELECT]:.4f}", f"{cost_s:.1f}"])
        boards.append(board)
        costs.append(cost_s)
    grid, halving = boards
    (same,) = [row for row in grid if row["trial"] == halving[0]["trial"]]
    tied = "tied with the grid's" if same["ties"] else "worse than the grid's"
    notes = [f"halving's winner is {tied}; its cost is {costs[1] / costs[0]:.2f} x"]
    header = ("", SELECT, "CPU seconds of fits")
    return Table(f"{title}: halving beside the grid", header, rows, notes)


def _fits_s(run: Path) -> float:
    """Sum the CPU seconds of all ALS fits of a run."""
    spent_s: dict[str, float] = {}
    lines, _ = read_ledger(run / LEDGER)
    for line in lines:
        if line.trial.kind == "als":
            earlier_s = spent_s.get(line.trial.id, 0.0)
            spent_s[line.trial.id] = max(earlier_s, line.fit_s)
    return sum(spent_s.values())
