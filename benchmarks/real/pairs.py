"""Pairs of a listener and an item, without order: MovieLens-1M by published folds, and LFM-2b.

A fifth of the training pairs chooses all parameters; what is tested chooses nothing. Lists are made
of what the listener has not in training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from scipy.sparse import csr_matrix

from analysis.tables.columns import Columns, Reading
from benchmarks.real import peers
from benchmarks.real.peers import Lister, Peer, Work
from benchmarks.real.plays import heldout_tracks
from benchmarks.real.product import baseline, make_split
from benchmarks.real.tables import (
    Table,
    compare,
    mean_interval,
    ndcg,
    precision,
    text,
)
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset

PUBLISHED = 0.2604  # P@10 of the best of 16 models, mean of the folds
READING = Reading(Columns("user", "item"), delimiter="\t")
SPACE = {
    "factors": [64, 128],
    "alpha": [1.0],
    "nu": [1.0],
    "regularization": [0.003, 0.01, 0.03],
    "unobserved_weight": [0.1, 0.3, 1.0],
}
OURS = ("als", "item_knn")
RULE = "popular"


@dataclass(frozen=True)
class Metric:
    """What lists of k are scored by."""

    k: int
    name: str  # in a configuration
    title: str
    of: Callable[[Int32Array, csr_matrix], FloatArray]

    def score(self, model: Lister, dataset: Dataset) -> FloatArray:
        """Return what the lists of new items are worth to each listener, shape (listeners,)."""
        return self.of(model.recommend(self.k, "new"), heldout_tracks(dataset))


PRECISION = Metric(10, "precision@10", "P@10", precision)
NDCG = Metric(30, "ndcg@30", "NDCG@30", ndcg)
ChosenPeers = Mapping[str, Mapping[str, Peer]]


def measure_movielens(file: Path, work: Work) -> Table:
    """Score all systems on each of the folds, after a search in the four others."""
    user, item, level, fold = read_columns(file, "user", "item", "level", "fold")
    folds = np.unique(fold).tolist()
    files = [work.folder / f"fold-{number}.tsv" for number in folds]
    for number, target in zip(folds, files, strict=True):
        is_relevant = (fold == number) & (level > 0)
        write_pairs(target, user[is_relevant], item[is_relevant])
    worth: dict[str, list[FloatArray]] = {}
    chosen: ChosenPeers | None = None
    users = np.unique(user)
    for number, test in zip(folds, files, strict=True):
        training = [path for path in files if path != test]
        found, listeners, chosen = score_split(training, test, work, PRECISION, chosen)
        is_tested = np.isin(users, user[fold == number])
        for name, values in found.items():
            # of whom all test ratings are low, nothing can be hit
            whole = np.where(is_tested, 0.0, np.nan)
            is_known = is_tested[np.searchsorted(users, listeners)]
            whole[np.searchsorted(users, listeners[is_known])] = values[is_known]
            worth.setdefault(name, []).append(whole)
    means = {name: np.nanmean(values, axis=0) for name, values in worth.items()}
    notes = [f"published best of 16 models: {PUBLISHED:.4f}"]
    title = f"MovieLens-1M, {len(folds)} folds, {len(users):,} users"
    return make_table(title, PRECISION, means, notes)


def measure_lfm2b(file: Path, work: Work) -> Table:
    """Score all systems on a fifth of the pairs."""
    user, item = read_columns(file, "user_id:token", "item_id:token")
    is_test = make_generator(0, "lfm2b test pairs").random(len(user)) < 0.2
    training, test = work.folder / "training.tsv", work.folder / "test.tsv"
    write_pairs(training, user[~is_test], item[~is_test])
    write_pairs(test, user[is_test], item[is_test])
    found, listeners, _ = score_split([training], test, work, NDCG, None)
    return make_table(f"LFM-2b sample, {len(listeners):,} listeners", NDCG, found, [])


def score_split(
    training: Sequence[Path],
    test: Path,
    work: Work,
    metric: Metric,
    chosen: ChosenPeers | None,
) -> tuple[dict[str, FloatArray], IntArray, ChosenPeers]:
    """Choose by some files, and score on another.

    Args:
        training: The files to learn from.
        test: The file that chooses nothing.
        work: The peers, and where all files are ingested.
        metric: What chooses and what is shown.
        chosen: The peers' models, where they were chosen before.

    Returns:
        What each system is worth to each listener, the listeners' ids, and the peers' models.
    """
    split = {"kind": "files", "train": [path.name for path in training]}
    run = {"run": f"without-{test.stem}"}
    files, store = [*training, test], work.folder / "store"
    chooser = make_split(
        files, store, READING, {"split": split, **run, **_settings(metric)}
    )
    choices, validation = chooser.choose()
    if chosen is None:
        chosen = peers.choose(
            work.tried,
            validation,
            lambda model: {
                metric.name: float(np.nanmean(metric.score(model, validation)))
            },
        )
    tested = {"split": {**split, "test": [test.name]}, **run, **_settings(metric)}
    dataset = make_split(files, store, READING, tested).dataset()
    found = {RULE: metric.score(baseline(RULE, dataset), dataset)}
    for name, best in chosen.items():
        found[name] = metric.score(best[metric.name](dataset), dataset)
    for kind in OURS:
        found[f"{kind} (ours)"] = metric.score(choices[kind].fit(dataset), dataset)
    return found, dataset.users, chosen


def make_table(
    title: str, metric: Metric, found: Mapping[str, FloatArray], notes: Sequence[str]
) -> Table:
    """Lay out what the systems are worth, and the difference of ours from the rule."""
    rows = [[name, text(mean_interval(values))] for name, values in found.items()]
    best, better = compare(
        found, "als (ours)", [name for name in found if "ours" not in name]
    )
    note = f"als (ours) less the best other system: {text(better)} ({best})"
    return Table(title, ("", metric.title), rows, [note, *notes])


def read_columns(file: Path, *names: str) -> list[IntArray]:
    """Read columns of whole numbers from a table with a header."""
    options = pyarrow.csv.ParseOptions(delimiter="\t")
    table = pyarrow.csv.read_csv(file, parse_options=options)
    return [table[name].to_numpy() for name in names]


def write_pairs(target: Path, user: IntArray, item: IntArray) -> None:
    """Write pairs as a table with a header."""
    table = pa.table({"user": user, "item": item})
    pyarrow.csv.write_csv(table, target, pyarrow.csv.WriteOptions(delimiter="\t"))


def _settings(metric: Metric) -> dict[str, Any]:
    return {
        "models": {"als": SPACE, "item_knn": {"weighting": ["bm25", "cosine"]}},
        "search": {"strategy": "halving"},
        "validation": {
            "ks": [metric.k],
            "min_time": 1,
            "select": metric.name,
            "filter_seen": True,
            "test_share": 0.0,
        },
    }
