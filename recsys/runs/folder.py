"""The run folder of a search: what stands in it, and that one search at a time writes to it."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
import orjson

from looplib.arrays import FloatArray
from looplib.checksums import seal, unseal
from looplib.config import load_config
from looplib.files import remove_leftovers
from recsys.config import SearchConfig
from recsys.dataset.dataset import PIECES
from recsys.errors import SearchError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.models.kinds import KINDS
from recsys.runs.trials import Trial
from recsys.scoring import Interval, Scorer, Settled
from recsys.workspace import Workspace

CONFIG = "config.yaml"
SETTLED = "settled.json"  # what a search decided where its configuration left it open
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
    """Name the file of what each listener adds to metrics, and of example lists."""
    return f"{LISTENERS}/{scorer.digest}/{trial.id}-{sweep}.npz"


def read_listeners(
    run: Workspace, scorer: Scorer, metric: str, trial: Trial, sweep: int
) -> FloatArray:
    """Read what each listener adds to a metric after a scored sweep; shape (2, listeners)."""
    name = listeners_name(scorer, trial, sweep)
    try:
        with np.load(run.cached(name)) as kept:
            return kept[metric]  # type: ignore[no-any-return]  # numpy says Any
    except Exception as error:  # noqa: BLE001  of any kind, by zipfile and NumPy
        found = (
            "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        )
        raise SearchError(
            f"{run}/{name}: {found}; search again, which runs this step again"
        ) from None


def has_listeners(run: Workspace, scorer: Scorer, trial: Trial, sweep: int) -> bool:
    """Return whether the file of `read_listeners` is there, and whole if it is on this machine."""
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
def locked_run(run: Workspace) -> Iterator[Lock]:
    """Make the block the only search in a run folder, new or with what an earlier search left.

    An earlier winner and leaderboard are removed: until the block has found its own, there is none.
    Of a run at an address, nothing but the ledger is kept on this machine.
    """
    names = run.names()
    is_run = bool(names & {LOCK, LEDGER, CONFIG})
    if not is_run and any(not name.startswith(LOCK) for name in names):
        raise SearchError(f"{run}: not empty and not a run; choose another --run")
    with hold_lock(run, "search") as lock:
        run.evict(".")
        run.folder.mkdir(parents=True, exist_ok=True)
        run.download(LEDGER)
        remove_leftovers(run.folder)
        remove_leftovers(run.folder / CHECKPOINTS)
        for written in (run.folder / LISTENERS).glob("*"):
            remove_leftovers(written)
        run.delete(PIECES, WINNER, LEADERBOARD, REPORT)
        yield lock


def write_config(run: Workspace, document: str) -> None:
    """Write the configuration of a search, YAML, as it was given, with its defaults."""
    with run.create(CONFIG) as file:
        file.write(document.encode())


def write_settled(run: Workspace, settled: Settled) -> None:
    """Write what a search decided where its configuration left it open."""
    with run.create(SETTLED) as file:
        file.write(orjson.dumps(seal(settled)))


def read_settled(run: Workspace) -> Settled | None:
    """Read what the latest search in a run folder decided; None where nothing whole is there."""
    content = run.read(SETTLED)
    if content is None:
        return None
    with suppress(ValueError):
        return msgspec.convert(unseal(content), Settled)
    return None


def read_config(run: Workspace) -> SearchConfig:
    """Read the configuration of a search, with what the search decided."""
    run.download(CONFIG)
    config = load_config(SearchConfig, run.folder / CONFIG)
    settled = read_settled(run)
    if settled is None:
        return config
    validation = config.validation.model_copy(update=asdict(settled))
    return config.model_copy(update={"validation": validation})


def read_winner(run: Workspace) -> Winner:
    """Read the winner of a finished search.

    Raises:
        SearchError: The folder holds no finished run.
    """
    content = run.read(WINNER)
    if content is None:
        raise SearchError(
            f"{run}: no finished run here ({WINNER} is missing); "
            "make one with python -m recsys.search"
        )
    try:
        winner = msgspec.convert(unseal(content), Winner)
        params = KINDS[winner.trial.kind].params_type(**winner.trial.params)
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{run}/{WINNER}: damaged ({error}); search again, which reads the ledger"
        ) from None
    return replace(winner, trial=replace(winner.trial, params=params))


def read_run(run: Workspace) -> tuple[SearchConfig, Winner]:
    """Read the configuration and the winner of a finished search.

    Raises:
        SearchError: The folder holds no finished run.
    """
    winner = read_winner(run)
    return read_config(run), winner
