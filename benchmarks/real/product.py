"""What this project makes of a set: its own search chooses, its own models make the lists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from analysis.plays.draft import draft_columns
from benchmarks.real.tables import SEED
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, load_interactions
from recsys.ingest.pipeline import ingest
from recsys.models.base import IterativeModel, Model
from recsys.models.registry import MODELS
from recsys.run import LEADERBOARD
from recsys.search.search import search
from recsys.storage import open_workspace
from recsys.store.reader import open_store

THREADS = 2


@dataclass(frozen=True)
class Choice:
    """The best model of a kind that a search found."""

    kind: str
    params: Mapping[str, Any]
    iterations: int
    models: int  # of its kind that were tried

    def fit(self, dataset: Dataset) -> Model:
        """Fit it to the training part of a dataset."""
        is_ordered = MODELS[self.kind].needs_order
        train = load_interactions(dataset, "training", is_ordered=is_ordered)
        return self.fit_to(train)

    def fit_to(self, train: Interactions) -> Model:
        """Fit it to interactions."""
        model = MODELS[self.kind](**self.params)
        if isinstance(model, IterativeModel):
            return model.fit(
                train, seed=SEED, threads=THREADS, iterations=self.iterations
            )
        return model.fit(train, seed=SEED, threads=THREADS)


def choose(config: SearchConfig) -> dict[str, Choice]:
    """Search; return the best model of each kind."""
    run = open_workspace(config.run)
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{config.run}.txt").open("w") as log, redirect_stdout(log):
        search(open_store(config.store), run, config)
    rows = pq.read_table(run.cached(LEADERBOARD)).to_pylist()
    trials = Counter(row["model"] for row in rows)
    choices: dict[str, Choice] = {}
    for row in rows:  # best first
        kind = MODELS[row["model"]]
        if not kind.is_baseline and row["state"] != "failed":
            names = kind.config_type().model_fields
            params = {name: row[name] for name in names}
            tried = trials[kind.name]
            choice = Choice(kind.name, params, row["iteration"], tried)
            choices.setdefault(kind.name, choice)
    return choices


def plan_search(
    files: Sequence[Path],
    store: Path,
    columns: Mapping[str, str],
    settings: Mapping[str, Any],
) -> SearchConfig:
    """Ingest files of plays with some columns, and plan a search with some settings."""
    if not store.exists():
        ingest(draft_columns(files, columns), store)
    plan = {"run": "run", "cluster": {"workers": THREADS}, **settings}
    plan |= {"store": str(store), "run": f"{store}-{plan['run']}"}
    return SearchConfig.model_validate(plan)


def baseline(kind: str, dataset: Dataset) -> Model:
    """Return a baseline of the product."""
    return Choice(kind, {}, 0, 1).fit(dataset)
