"""Pairs of a listener and an item, without order: MovieLens-1M by published folds, and LFM-2b.

A fifth of the training pairs chooses all parameters; what is tested chooses nothing. Lists are made
of what the listener has not in training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.real import peers
from benchmarks.real.files import read_columns, write_pairs
from benchmarks.real.peers import Lister, Work
from benchmarks.real.plays import heldout_tracks
from benchmarks.real.product import baseline, choose, plan_search
from benchmarks.real.tables import (
    Table,
    differences,
    mean_interval,
    ndcg,
    precision,
    text,
)
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset
from tests.recsys.opened import dataset_of

PUBLISHED = 0.2604  # P@10 of the best of 16 models, mean of the folds
COLUMNS = {"listener": "user", "track": "item"}
SPACE = {
    "factors": [64, 128],
    "alpha": [1.0],
    "nu": [1.0],
    "regularization": [0.003, 0.01, 0.03],
    "unobserved_weight": [0.03, 0.1, 0.3],
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

    def score(self, model: Lister, dataset: Dataset) -> dict[str, FloatArray]:
        """Compute what lists of new items are worth to each listener, shape (listeners,)."""
        lists = model.recommend(self.k, "new")
        return {self.name: self.of(lists, heldout_tracks(dataset))}


PRECISION = Metric(10, "precision@10", "P@10", precision)
NDCG = Metric(30, "ndcg@30", "NDCG@30", ndcg)
BEST = "als (ours)"
SEARCH: Mapping[str, Any] = {"strategy": "halving"}


def measure_movielens(file: Path, work: Work) -> Table:
    """Score all systems on each of the folds, after a search in the four others."""
    user, item, level, fold = read_columns(file, "user", "item", "level", "fold")
    folds = np.unique(fold).tolist()
    files = [work.folder / f"fold-{number}.tsv" for number in folds]
    for number, target in zip(folds, files, strict=True):
        is_relevant = (fold == number) & (level > 0)
        write_pairs(target, user[is_relevant], item[is_relevant])
    worth: dict[str, list[FloatArray]] = {}
    users = np.unique(user)
    for number, test in zip(folds, files, strict=True):
        training = [path for path in files if path != test]
        results, listeners = score_split(training, test, work, PRECISION)
        is_tested = np.isin(users, user[fold == number])
        for name, values in results.items():
            # of whom all test ratings are low, nothing can be hit
            whole = np.where(is_tested, 0.0, np.nan)
            is_listed = is_tested[np.searchsorted(users, listeners)]
            whole[np.searchsorted(users, listeners[is_listed])] = values[is_listed]
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
    results, listeners = score_split([training], test, work, NDCG)
    return make_table(f"LFM-2b sample, {len(listeners):,} listeners", NDCG, results, [])


def score_split(
    training: Sequence[Path], test: Path, work: Work, metric: Metric
) -> tuple[dict[str, FloatArray], IntArray]:
    """Choose by some files, and score on another.

    Args:
        training: The files to learn from.
        test: The file that chooses nothing.
        work: Where all files are ingested, and the results of peers.
        metric: What chooses and what is shown.

    Returns:
        What each system is worth to each listener, and the listeners' ids.
    """
    split = {"kind": "files", "train": [path.name for path in training]}
    run = {"run": f"without-{test.stem}"}
    files, store = [*training, test], work.folder / "store"
    settings = {"split": split, **run, **_settings(metric)}
    config = plan_search(files, store, COLUMNS, settings)
    settings = {**settings, "split": {**split, "test": [test.name]}}
    dataset = dataset_of(plan_search(files, store, COLUMNS, settings))
    results = {RULE: metric.score(baseline(RULE, dataset), dataset)}
    both = (dataset_of(config), dataset)
    results |= peers.measure(work, test.stem, peers.PAIRS, both, metric.score)
    choices = choose(config)
    for kind in OURS:
        name = f"{kind} (ours): {choices[kind].models}"
        results[name] = metric.score(choices[kind].fit(dataset), dataset)
    values = {name: worth[metric.name] for name, worth in results.items()}
    return values, dataset.users


def make_table(
    title: str, metric: Metric, results: Mapping[str, FloatArray], notes: Sequence[str]
) -> Table:
    """Lay out what the systems are worth, and the differences of ours from the best others."""
    rows = [[name, text(mean_interval(values))] for name, values in results.items()]
    lines = differences(results, BEST, [RULE], metric.title)
    header = ("best of so many models", metric.title)
    return Table(title, header, rows, [*lines, *notes])


def _settings(metric: Metric) -> dict[str, Any]:
    return {
        "models": {"als": SPACE, "item_knn": {"weighting": ["bm25", "cosine"]}},
        "search": SEARCH,
        "validation": {
            "ks": [metric.k],
            "min_time": 1,
            "select": metric.name,
            "filter_seen": True,
            "test_share": 0.0,
        },
    }
