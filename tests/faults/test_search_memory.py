"""A trial that takes its workers along."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ByteSize

from recsys.cluster.config import ClusterConfig
from recsys.search.folder import read_run
from recsys.workspace import open_workspace
from tests.faults.searches import config_of, rows
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of


@pytest.mark.slow
@pytest.mark.dask
def test_a_trial_that_runs_out_of_memory_is_a_failed_row_and_the_others_finish(
    tmp_path: Path,
) -> None:
    """The matrix of 40,000 x 40,000 that such a fit begins with has 6 GiB; its process may have
    one."""
    store = make_store(
        tmp_path, random_sessions(5, listeners=40, tracks=60, sessions=300), tracks=60
    )
    cluster = ClusterConfig(
        workers=1, memory_limit=ByteSize(2**30), wait_for_workers_s=300
    )
    models = {"als": {"factors": (8, 40_000)}}
    search_of(config_of(store, tmp_path / "run", cluster, 2, models))
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    assert [(row["model"], row["state"]) for row in board[-1:]] == [("als", "failed")]
    assert [
        row["factors"]
        for row in board
        if row["model"] == "als" and row["state"] == "scored"
    ] == [8]
    assert board[-1]["why"].startswith(
        "WorkerDiedError: 3 workers died running it; most likely out of memory"
    )
    _, winner = read_run(open_workspace(tmp_path / "run"))
    assert winner.trial.params["factors"] == 8
    failed = [row for row in rows(tmp_path / "run") if row["error"]]
    assert [(row["params"]["factors"], row["is_final"]) for row in failed] == [
        (40_000, False)
    ]
