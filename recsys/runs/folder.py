"""The run folder of a search: what stands in it, how a search takes it over, and that only one does at a time."""

import itertools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from looplib.arrays import FloatArray
from looplib.checksums import unseal
from looplib.config import load_config
from looplib.errors import UserError
from looplib.files import remove_leftovers
from recsys.config import SearchConfig, ValidationConfig
from recsys.dataset.dataset import PIECES
from recsys.errors import SearchError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.models.kinds import KINDS
from recsys.runs.trials import Trial
from recsys.scoring import Interval, Scorer
from recsys.workspace import Workspace, open_workspace

CONFIG = "config.yaml"
LEDGER = "ledger.jsonl"
LEADERBOARD = "leaderboard.parquet"
WINNER = "winner.json"
REPORT = "report.html"
DASHBOARD = "dashboard.txt"  # address of the Dask dashboard while the search runs
CHECKPOINTS = "checkpoints"
LISTENERS = "listeners"
LISTS = "lists"
NO_BETTER = "the best model is not significantly better than the popular tracks"


@dataclass(frozen=True)
class Winner:
    """The best trial of a search, as `winner.json` has it."""

    trial: Trial
    sweeps: int  # after which it was best
    metrics: dict[str, Interval]
    select: str  # the metric that chose it
    dataset: str  # digest of the dataset that it was fitted and scored on
    remarks: tuple[str, ...] = ()  # warnings about the choice
    # significantly, by the metric; None where listeners cannot be compared by it
    beats_popular: bool | None = None
    # metrics on the listeners who chose nothing
    test: dict[str, Interval] = field(default_factory=dict)


def checkpoint_name(trial: Trial) -> str:
    """Name the file that holds a trial's factors between its steps."""
    return f"{CHECKPOINTS}/{trial.id}.npz"


def lists_name(scorer: Scorer, trial: Trial, sweep: int) -> str:
    """Name the file that holds the lists of a scored sweep until the search ends."""
    return f"{LISTS}/{scorer.digest}/{trial.id}-{sweep}.npz"


def listeners_name(scorer: Scorer, trial: Trial, sweep: int) -> str:
    """Name the file where a scored sweep keeps what each listener adds to metrics, and its example lists."""
    return f"{LISTENERS}/{scorer.digest}/{trial.id}-{sweep}.npz"


def read_listeners(
    run: Workspace, scorer: Scorer, metric: str, trial: Trial, sweep: int
) -> FloatArray:
    """Read what each listener adds to a metric, as `run_step` kept it of a scored sweep; shape (2, listeners)."""
    name = listeners_name(scorer, trial, sweep)
    try:
        with np.load(run.cached(name)) as kept:
            return kept[metric]  # type: ignore[no-any-return]  # numpy says Any
    except Exception as error:  # noqa: BLE001  a damaged file makes zipfile and NumPy raise any kind
        found = (
            "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        )
        raise SearchError(
            f"{run}/{name}: {found}; search again, which runs this step again"
        ) from None


def has_listeners(run: Workspace, scorer: Scorer, trial: Trial, sweep: int) -> bool:
    """Return whether the file that `read_listeners` reads is there, and whole where it is on this machine."""
    name = listeners_name(scorer, trial, sweep)
    if run.is_remote:
        return bool(run.sub(name).sizes())
    with suppress(Exception):  # of any kind, as above
        check_arrays(run.folder / name)
        return True
    return False


def check_arrays(file: Path) -> None:
    """Raise any exception unless all of an `.npz` has the checksums that it was written with."""
    with zipfile.ZipFile(file) as arrays:
        if damaged := arrays.testzip():
            raise ValueError(damaged)


@contextmanager
def locked_run(run: Workspace, *, fresh: bool) -> Iterator[Lock]:
    """Make the block the only search in a run folder, new or with what an earlier search left.

    An earlier winner and leaderboard are removed: until the block has found its own, there is none.
    Of a run at an address, nothing but the ledger is kept on this machine. `fresh` moves an earlier
    run to the next free `<folder>.N` and begins with an empty folder.
    """
    names = run.names()
    if any(not name.startswith(LOCK) for name in names) and not names & {
        LOCK,
        LEDGER,
        CONFIG,
    }:
        raise SearchError(f"{run}: not empty and not a run; choose another --run")
    with hold_lock(run, "search") as lock:
        if fresh:
            _keep_beside(run)
        run.evict(".")
        run.folder.mkdir(parents=True, exist_ok=True)
        run.download(LEDGER)
        for written in (
            run.folder,
            run.folder / CHECKPOINTS,
            *(run.folder / LISTENERS).glob("*"),
        ):
            remove_leftovers(written)
        run.delete(PIECES, WINNER, LEADERBOARD, REPORT)
        yield lock


def read_validation(run: Workspace) -> ValidationConfig | None:
    """Read how the latest search in a run folder scored its fits; None where there was none."""
    run.download(CONFIG)
    with suppress(UserError):
        return load_config(SearchConfig, run.folder / CONFIG).validation
    return None


def read_run(run: Workspace) -> tuple[SearchConfig, Winner]:
    """Read the configuration and the winner of a finished search.

    Raises:
        SearchError: The folder holds no finished run.
    """
    content = run.read(WINNER)
    if content is None:
        raise SearchError(
            f"{run}: no finished run here ({WINNER} is missing); make one with python -m recsys.search"
        )
    try:
        winner = msgspec.convert(unseal(content), Winner)
        params = KINDS[winner.trial.kind].params_type(**winner.trial.params)
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{run}/{WINNER}: damaged ({error}); search again, which reads the ledger"
        ) from None
    run.download(CONFIG)
    config = load_config(SearchConfig, run.folder / CONFIG)
    return config, replace(winner, trial=replace(winner.trial, params=params))


def _keep_beside(run: Workspace) -> None:
    """Move what an earlier search left to the next free name; its ledger last: until it is gone it is a run."""
    moved = [name for name in run.names() if not name.startswith(LOCK)]
    if not moved:
        return
    numbers = itertools.count(1)
    beside = next(
        found
        for number in numbers
        if not (found := open_workspace(f"{run}.{number}")).names()
    )
    for name in sorted(moved, key=lambda name: name in (LEDGER, CONFIG)):
        run.move(name, beside)
