"""The run folder of a search: its files, the lock of the search, and the winner.

A search writes the folder; the export, the report and the Python API read it.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from analysis.statistics.effects import Interval
from looplib.checksums import check_format, seal, unseal
from looplib.config import load_config
from looplib.files import TEMPORARY_PREFIX, remove_leftovers, sha256_file
from recsys.config import SearchConfig
from recsys.dataset.layout import PIECES
from recsys.errors import SearchError
from recsys.lock import LOCK, Lock, hold_lock
from recsys.models.trial import CHECKPOINTS, Checkpoint, Trial
from recsys.storage import Workspace

CONFIG = "config.yaml"
PENDING = f"{CONFIG}.pending"  # configuration of the search that runs
LEDGER = "ledger.jsonl"
LEADERBOARD = "leaderboard.parquet"
WINNER = "winner.json"
SCHEMA = 1  # format of a run
REPORT = "report.html"
LISTENERS = "listeners"  # the folder of the listeners' parts of the metrics
_DAMAGED = "damaged; search again, which reads the ledger"
NO_BETTER = "the best model is not significantly better than every baseline"


@dataclass(frozen=True)
class Winner:
    """The best trial of a search, as `winner.json` has it."""

    trial: Trial
    iterations: int  # after which it was best
    metrics: dict[str, Interval]
    select: str  # the metric that chose it
    dataset: str  # digest of the dataset that it was fitted and scored on
    store: str  # digest of the store of the dataset
    warnings: tuple[str, ...] = ()  # about the choice
    beats_baselines: bool = True  # each significantly, by the metric
    # metrics on the listeners who chose nothing
    test: dict[str, Interval] = field(default_factory=dict)
    # the best checkpoint with factors, if the winner has no factors
    factors: Checkpoint | None = None
    # the choosing metric of thirds of the listeners, by their tracks in training
    by_tracks: dict[str, Interval] = field(default_factory=dict)
    # SHA-256 of other files of the run by name
    files: dict[str, str] = field(default_factory=dict, compare=False)
    schema: int = SCHEMA

    @property
    def fitted(self) -> Checkpoint:
        """The winner's checkpoint at its best iteration."""
        return Checkpoint(self.trial, self.iterations)


@contextmanager
def locked_run(run: Workspace) -> Iterator[Lock]:
    """Lock a run folder for a search, whether it is new or an earlier search has left it.

    An earlier winner stays, with its files, until this search has its own. A run at an address
    keeps nothing but the ledger on this machine.
    """
    # a store has a lock, too
    ignored = (LOCK, TEMPORARY_PREFIX)
    names = [name for name in run.names() if not name.startswith(ignored)]
    if names and not any(name.startswith((LEDGER, CONFIG)) for name in names):
        raise SearchError(f"{run}: not empty and not a run; choose another --run")
    with hold_lock(run, "search") as lock:
        run.evict(".")
        run.folder.mkdir(parents=True, exist_ok=True)
        run.download(LEDGER)
        listeners = (run.folder / LISTENERS).glob("*")
        for written in (run.folder, run.folder / CHECKPOINTS, *listeners):
            remove_leftovers(written)
        run.delete(PIECES)
        yield lock


def write_winner(run: Workspace, winner: Winner) -> None:
    """Write the winner of a search, with a checksum."""
    with run.create(WINNER) as file:
        file.write(orjson.dumps(seal(winner), option=orjson.OPT_INDENT_2))


def read_run(
    run: Workspace, overrides: Iterable[str] = ()
) -> tuple[SearchConfig, Winner]:
    """Read the configuration, with overrides, and the winner of a finished search.

    Returns:
        The configuration, whose paths hold in the present folder, and the winner.

    Raises:
        SearchError: The folder holds no finished run, or a file is damaged.
    """
    run.download(WINNER, CONFIG)
    file = run.folder / CONFIG
    try:
        content = (run.folder / WINNER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise SearchError(
            f"{run}: no finished run here ({WINNER} is missing); "
            "make one with listening-loop search"
        ) from None
    try:
        document = {"schema": 0, **unseal(content)}  # 0.4 wrote no number
        check_format(document, SCHEMA, f"{run}/{WINNER}", "search again", SearchError)
        winner = msgspec.convert(document, Winner)
    except ValueError as error:
        raise SearchError(f"{run}/{WINNER}: {_DAMAGED} ({error})") from None
    digest = winner.files.get(CONFIG)
    if digest and file.exists() and sha256_file(file) != digest:
        raise SearchError(f"{run}/{CONFIG}: {_DAMAGED}")
    config = load_config(SearchConfig, file, overrides)
    located: dict[str, Any] = {"store": _locate(config.store, config, run)}
    if config.catalogue:
        located["catalogue"] = Path(_locate(str(config.catalogue), config, run))
    return config.model_copy(update=located), winner


def _locate(path: str, config: SearchConfig, run: Workspace) -> str:
    """Find a path of a run's configuration, which was relative to another folder or has moved.

    A run and its store may move together, because the relative path between them stays the same.
    """
    is_local = not run.is_remote and "://" not in path + config.run
    if is_local and Path(path).is_absolute() == Path(config.run).is_absolute():
        way = os.path.relpath(path, config.run)
        moved = Path(os.path.normpath(run.folder.absolute() / way))
        is_same = Path(path).exists() and moved.exists() and moved.samefile(path)
        if moved.exists() and not is_same:
            return str(moved)
    return path


def check_digest(run: Workspace, winner: Winner, name: str) -> Path:
    """Check the digest of a file of a finished run.

    Returns:
        Its path.

    Raises:
        SearchError: It has another digest.
    """
    run.download(name)
    digest = winner.files.get(name)
    if digest and sha256_file(run.folder / name) != digest:
        raise SearchError(f"{run}/{name}: {_DAMAGED}")
    return run.folder / name
