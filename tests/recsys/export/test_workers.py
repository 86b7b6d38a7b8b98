"""What an export publishes is the same to the byte wherever its calls run."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from recsys import blockwise
from recsys.cluster.cluster import Client, Cluster
from recsys.cluster.config import ClusterConfig
from recsys.cluster.processes import start_processes
from recsys.export import plan
from recsys.export.export import export_run
from recsys.export.plan import refit
from recsys.run import read_run
from recsys.storage import open_workspace
from tests.botify.exports import read_manifest
from tests.recsys.finished import choose_another, finish_run
from tests.recsys.plays import make_plays_store, random_plays
from tests.waiting import wait_until

Files = dict[str, dict[str, Any]]  # digest, size and rows of each file


def publish(run: Path, out: Path, client: Client | None = None) -> Files:
    """Publish with the workers of a client, or in this process."""
    workspace = open_workspace(run)
    config, winner = read_run(workspace, ["cluster.fit=whole"] if not client else [])
    export_run(workspace, config, winner, out, client=client)
    files: Files = read_manifest(out / "current")["files"]
    return files


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a run whose winner is `blend`, beside factors of `als` that are fitted in blocks."""
    monkeypatch.setattr(blockwise, "SMALLEST_S", 0)
    monkeypatch.setattr(plan, "_LISTENERS", 16)
    monkeypatch.setattr(plan, "_COMPARED", 30)
    make_plays_store(tmp_path, random_plays(3))
    finished = finish_run(
        tmp_path,
        split={"kind": "newest"},
        cluster={"fit": "blocks"},
        export={"live": "anyway", "publish_anyway": True, "top": 7},
    )
    choose_another(finished, "blend")
    return finished


@pytest.mark.dask
@pytest.mark.slow
def test_published_bytes_are_the_same_here_and_on_one_or_three_workers_one_of_which_dies(
    run: Path, tmp_path: Path
) -> None:
    here = publish(run, tmp_path / "here")
    assert {"factors.npz", "live.npz", "scores.npy", "similar.jsonl"} <= here.keys()

    def kill(worker: int) -> None:
        """Kill a worker when the first range is ranked."""
        wait_until(lambda: any(run.glob("pieces/*/parts/*")), "a range")
        psutil.Process(worker).kill()

    with ExitStack() as stack:
        modules = (refit.__module__, "recsys.models.kernels.ranking")
        client = start_processes(ClusterConfig(workers=1), modules, stack)
        assert publish(run, tmp_path / "1", client) == here
        assert client.cluster
        client.cluster.scale(3)
        client.wait_for_workers(3)
        first, *_ = client.run(os.getpid).values()
        killed = stack.enter_context(ThreadPoolExecutor(1)).submit(kill, first)
        assert publish(run, tmp_path / "3", client) == here
        killed.result()
    assert not [*run.glob("pieces/*")]


def test_an_export_of_few_plays_starts_no_worker(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "_client", None)
    assert publish(run, tmp_path)["recommendations.jsonl"]["rows"]
