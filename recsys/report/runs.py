"""Read the run folder of a search, finished or not."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from looplib.arrays import NO_TRACK
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.lock import EXPIRY_S, LOCK
from recsys.models.registry import MODELS
from recsys.run import (
    CONFIG,
    LEADERBOARD,
    LEDGER,
    LISTENERS,
    WINNER,
    check_digest,
    read_run,
)
from recsys.search.leaderboard import Row, is_better, rank
from recsys.search.ledger import Score, Scores, read_ledger, scores_of
from recsys.search.scorer import EXAMPLES
from recsys.storage import Workspace


@dataclass(frozen=True)
class RunFolder:
    """The folder of a search."""

    name: str  # on the page
    folder: Path
    config: SearchConfig
    # the leaderboard, best first; while the search is not finished, what is scored so far
    rows: tuple[Row, ...]
    scores: Scores  # of each trial, by its id
    # its row of the leaderboard; None while the search is not finished
    winner: Row | None

    @property
    def changed(self) -> datetime:
        """When the ledger was last written to."""
        return datetime.fromtimestamp((self.folder / LEDGER).stat().st_mtime, UTC)

    @property
    def state(self) -> str:
        """The state of the search: "finished", "running" or "interrupted"."""
        if self.winner:
            return "finished"
        lock = self.folder / LOCK
        sign_of_life = lock if lock.exists() else self.folder / LEDGER
        silent_s = time.time() - sign_of_life.stat().st_mtime
        return "running" if silent_s < EXPIRY_S else "interrupted"

    @property
    def select(self) -> str:
        """The metric that chooses."""
        return self.config.validation.select

    @cached_property
    def candidates(self) -> tuple[Row, ...]:
        """The leaderboard without the baselines."""
        return tuple(row for row in self.rows if not is_baseline(row))

    def state_of(self, row: Row) -> str:
        """Describe the rank of a model, or the iteration at which it was stopped, and why."""
        if row["state"] != "scored":
            reason = f": {row['why']}" if row["state"] == "failed" else ""
            return f"{row['state']} at iteration {row['stopped_at']}{reason}"
        if is_baseline(row):
            return "better baseline" if is_better(row) else "baseline"
        if row is self.winner:
            return "winner"
        return {True: "tied", False: "worse", None: "scored"}[row["ties"]]


def read_folder(run: Workspace, name: str) -> RunFolder:
    """Read a run folder; the search may be running."""
    run.download(LEDGER)
    lines, _ = read_ledger(run.folder / LEDGER)
    # an earlier search in the folder may have had other data, or scored otherwise
    lines = [line for line in lines if line.scorer == lines[-1].scorer]
    scores = scores_of(lines)
    if run.read(WINNER) is not None:
        config, winner = read_run(run)
        rows = pq.read_table(check_digest(run, winner, LEADERBOARD)).to_pylist()
        best = next((row for row in rows if row["trial"] == winner.trial.id), None)
        return RunFolder(name, run.folder, config, tuple(rows), scores, best)
    run.download(CONFIG)
    config = load_config(SearchConfig, run.folder / CONFIG)
    trials = {line.trial.id: line.trial for line in lines}
    leaderboard = rank(trials.values(), {}, scores, config.validation.select)
    return RunFolder(name, run.folder, config, tuple(leaderboard.rows()), scores, None)


def read_examples(
    run: Workspace, scores: Sequence[Score], iteration: int
) -> list[list[int]]:
    """Read the examples of a trial: the row of a listener, and the columns of its list."""
    name = f"{LISTENERS}/{scores[-1].scorer}/{scores[-1].trial.id}-{iteration}.npz"
    with np.load(run.cached(name)) as arrays:
        lists: list[list[int]] = arrays[EXAMPLES].tolist()
    return [[track for track in example if track != NO_TRACK] for example in lists]


def is_baseline(row: Row) -> bool:
    """Check whether a row is of a baseline, which never wins."""
    kind = MODELS.get(row["model"])
    return kind is not None and kind.is_baseline


def interval_of(row: Row, metric: str) -> list[float | None]:
    """Return a metric of a row: value, lower and upper end of its interval."""
    return [row.get(f"{metric}{end}") for end in ("", " lower", " upper")]
