"""The run folder of a search: what stands in it, how a search takes it over, and that only one does at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from looplib.arrays import FloatArray
from looplib.config import load_config
from looplib.files import remove_leftovers
from recsys import storage
from recsys.config import SearchConfig
from recsys.dataset.dataset import PIECES
from recsys.errors import SearchError
from recsys.mirror import fetch, forget, forget_below, give
from recsys.models.als import AlsParams
from recsys.places import Mirrored
from recsys.remote_lock import RemoteLock, remote_lock
from recsys.runs.scores import Entry, entry_id
from recsys.runs.trials import Trial
from recsys.scoring.off_policy import Interval
from recsys.scoring.scorer import Scorer

CHECKPOINTS = "checkpoints"
LISTENERS = "listeners"


def checkpoint_file(folder: Path, trial: Trial) -> Path:
    """Where a trial's factors are between its steps."""
    return folder / CHECKPOINTS / f"{trial.id}.npz"


def listeners_file(folder: Path, scorer: Scorer, entry: Entry, sweep: int) -> Path:
    """Where a scored sweep keeps what each listener adds to metrics, and its example lists."""
    return folder / LISTENERS / scorer.digest / f"{entry_id(entry)}-{sweep}.npz"


def read_listeners(folder: Path, scorer: Scorer, metric: str, entry: Entry, sweep: int) -> FloatArray:
    """What each listener adds to a metric, as `run_step` kept it of a scored sweep; shape (2, listeners).

    Raises:
        SearchError: It is gone.
    """
    file = fetch(listeners_file(folder, scorer, entry, sweep))
    try:
        with np.load(file) as kept:
            return kept[metric]  # type: ignore[no-any-return]  # numpy says Any
    except FileNotFoundError:
        raise SearchError(f"{file}: the ledger has this score, and the file is gone; start over with --fresh") from None


CONFIG = "config.yaml"
LEDGER = "ledger.jsonl"
LEADERBOARD = "leaderboard.parquet"
WINNER = "winner.json"
REPORT = "report.html"
LOCK = ".lock"


@dataclass(frozen=True)
class Winner:
    """The best trial of a search.

    Attributes:
        trial: What was fitted.
        sweeps: After how many sweeps it was best.
        metrics: Metric key to value and the ends of its 95 % interval.
        select: The metric that chose it.
        dataset: Digest of the dataset that it was fitted and scored on.
        remarks: What is to be known of the choice.
    """

    trial: Trial
    sweeps: int
    metrics: dict[str, Interval]
    select: str
    dataset: str
    remarks: tuple[str, ...] = ()


@contextmanager
def taken_run(folder: Path, *, fresh: bool) -> Iterator[RemoteLock | None]:
    """Makes the block the only search in a run folder, new or with what an earlier search left.

    An earlier winner and leaderboard are removed: until the block has found its own, there is none. Of a run at an
    address, the ledger is what was given there, and the block gets the lock that it holds there.

    Args:
        folder: The run folder.
        fresh: Move an earlier run to the next free `<folder>.N` and begin with an empty folder.

    Raises:
        SearchError: Another search is at work there, or the folder holds something else than a run.
    """
    with ExitStack() as stack:
        stack.enter_context(_locked(folder))
        lock = stack.enter_context(remote_lock(folder, "search"))
        if isinstance(folder, Mirrored):
            _mirror_anew(folder, fresh=fresh)
        elif fresh and any(entry.name != LOCK for entry in folder.iterdir()):
            folder.rename(_free_name(folder))
            stack.enter_context(_locked(folder))
        for written in (folder, folder / CHECKPOINTS, *(folder / LISTENERS).glob("*")):
            remove_leftovers(written)
        for found in (WINNER, LEADERBOARD, REPORT):
            forget(folder / found)
        yield lock


def read_run(folder: Path) -> tuple[SearchConfig, Winner]:
    """The configuration and the winner of a finished search.

    Raises:
        SearchError: The folder holds no finished run.
    """
    try:
        document = orjson.loads(fetch(folder / WINNER).read_bytes())
    except FileNotFoundError:
        raise SearchError(
            f"{folder}: no finished run here ({WINNER} is missing); make one with python -m recsys.search"
        ) from None
    except orjson.JSONDecodeError as error:
        raise SearchError(f"{folder / WINNER}: damaged ({error})") from None
    return load_config(SearchConfig, fetch(folder / CONFIG)), _parse_winner(document)


def _parse_winner(document: dict[str, Any]) -> Winner:
    trial = document["trial"]
    return Winner(
        trial=Trial(trial["id"], AlsParams(**trial["params"]), trial["seed"]),
        sweeps=document["sweeps"],
        metrics={key: tuple(ends) for key, ends in document["metrics"].items()},
        select=document["select"],
        dataset=document["dataset"],
        remarks=tuple(document.get("remarks", ())),
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which dies with the process."""
    if folder.exists() and not folder.is_dir():
        raise SearchError(f"{folder}: a run needs a folder, and this is a file")
    folder.mkdir(parents=True, exist_ok=True)
    is_run = isinstance(folder, Mirrored) or any((folder / name).exists() for name in (LOCK, LEDGER, CONFIG))
    if not is_run and any(folder.iterdir()):
        raise SearchError(f"{folder}: not empty and not a run; choose another --run")
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SearchError(
                f"{folder}: another search is at work here; wait until it is done, or choose another --run"
            ) from None
        yield
    finally:
        os.close(handle)


def _free_name(folder: Path) -> Path:
    number = 1
    while _is_taken(name := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    return name


def _is_taken(folder: Path) -> bool:
    return bool(storage.sizes(folder.url)) if isinstance(folder, Mirrored) else folder.exists()


def _mirror_anew(folder: Mirrored, *, fresh: bool) -> None:
    """Leaves nothing in a run's mirror but the ledger.

    Raises:
        SearchError: What is there is no run.
    """
    names = {name.partition("/")[0] for name in storage.sizes(folder.url)}
    ours = {name for name in names if name.startswith(LOCK)}
    if names - ours and not names & {LEDGER, CONFIG}:
        raise SearchError(f"{folder}: not empty and not a run; choose another --run")
    if fresh and names - ours:
        target = _free_name(folder)
        moved = [name for name in storage.sizes(folder.url) if not name.startswith(LOCK)]
        for name in sorted(moved, key=lambda name: name in (LEDGER, CONFIG)):  # until these are gone it is a run
            storage.move(f"{folder.url}/{name}", f"{target}/{name}")
    ahead = b"" if fresh else _ahead(folder)
    for entry in folder.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    forget_below(folder / PIECES)
    if ahead:
        (folder / LEDGER).write_bytes(ahead)
        give(folder / LEDGER)
    fetch(folder / LEDGER)


def _ahead(folder: Mirrored) -> bytes:
    """The mirror's ledger, if it has all lines of the one at the address: a server was lost before it got the last."""
    mirrored = folder / LEDGER
    content = mirrored.read_bytes() if mirrored.exists() else b""
    given = storage.read(f"{mirrored}") or b""
    return content if given and content.startswith(given) and content.endswith(b"\n") else b""
