"""What the tests of a search under faults share: searches that run for long enough, and whether two
ended alike."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from recsys.cluster.config import ClusterConfig
from recsys.config import Models, Search, SearchConfig, ValidationConfig
from recsys.search.folder import read_winner
from recsys.workspace import open_workspace
from tests.recsys.ledgers import ledger_rows, untimed

TRIALS = 4
LONG = 300  # iterations that keep a fit busy for long enough to be found at work
MODELS: Models = {"als": {"factors": (8, 16), "alpha": (1.0, 10.0)}}
VALIDATION = ValidationConfig(ks=(5, 30), resamples=100)
rows = ledger_rows


def config_of(
    store: Path,
    run: Path,
    cluster: ClusterConfig,
    iterations: int,
    models: Models = MODELS,
) -> SearchConfig:
    """A search that scores every fit twice."""
    search = Search(iterations=iterations, score_every=iterations // 2)
    return SearchConfig(
        store=str(store),
        run=str(run),
        models=models,
        search=search,
        validation=VALIDATION,
        cluster=cluster,
    )


@contextmanager
def started(
    config: SearchConfig, *extra: str, under: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """The search as a process of its own, below another program if one is given; it ends with the
    block."""
    file = Path(f"{config.run}.yaml")
    file.write_text(json.dumps(config.model_dump(mode="json")))  # JSON is YAML
    argv = [
        *under,
        sys.executable,
        "-m",
        "recsys.search",
        "--config",
        str(file),
        *extra,
    ]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """Return Dask's worker processes."""
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            parent = child.parent()
            if parent and "forkserver" in " ".join(parent.cmdline()):
                found.append(child)
    return found


def refusal(process: subprocess.Popen[str], timeout_s: float) -> str:
    """The one line of a search that gives up in time."""
    _, errors = process.communicate(timeout=timeout_s)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    (line,) = (line for line in errors.splitlines() if "error:" in line)
    return line


def results(run: Path) -> list[str]:
    """The ledger without its timings; a line that stands twice is there twice."""
    return untimed(rows(run))


def assert_same_end(run: Path, undisturbed: Path) -> None:
    assert results(run) == results(undisturbed)
    winners = [read_winner(open_workspace(folder)) for folder in (run, undisturbed)]
    assert winners[0] == winners[1]
    board = pq.read_table(run / "leaderboard.parquet").to_pylist()
    assert (
        sum(row["model"] == "als" and row["state"] == "scored" for row in board)
        == TRIALS
    )
