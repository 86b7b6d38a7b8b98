"""Hosts that share an address and no folder: a search with fits in blocks, on two workers."""

import json
from pathlib import Path

import pytest

from tests.hosts import network
from tests.machines import make_machine, object_store
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import random_sessions, write_log
from tests.recsys.s3 import BUCKET

SEARCH = """
search: {space: {factors: [4, 8]}, sweeps: 2}
validation: {resamples: 100}
"""
FETCH = (
    "import s3fs, sys; "
    f"s3fs.S3FileSystem().get('{BUCKET}/' + sys.argv[1], sys.argv[1], recursive=True)"
)


def ledger(file: Path) -> list[str]:
    """The lines of a ledger without what differs from run to run, in an order of their own."""
    timing = ("fit_s", "crc32")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted(
        json.dumps({key: value for key, value in row.items() if key not in timing})
        for row in rows
    )


def assert_same(fetched: Path, local: Path) -> None:
    # an object store knows no links
    version = (fetched / "export" / "current").read_text().strip()
    assert (fetched / "winner.json").read_bytes() == (
        local / "winner.json"
    ).read_bytes()
    for name in ("recommendations.jsonl", "neighbours.jsonl", "factors.npz"):
        published = local / "export" / "current" / name
        assert (
            fetched / "export" / version / name
        ).read_bytes() == published.read_bytes(), name
    assert ledger(fetched / "ledger.jsonl") == ledger(local / "ledger.jsonl")


@pytest.mark.slow
def test_without_a_common_folder_several_hosts_give_the_bytes_of_one_machine(
    tmp_path: Path,
) -> None:
    with (
        network(5) as (of_objects, of_scheduler, of_search, *of_workers),
        object_store(of_objects, tmp_path) as s3,
        scheduler(tmp_path, host=of_scheduler.address, under=of_scheduler.under) as (
            address,
            start_worker,
        ),
    ):
        desk = make_machine(of_search, tmp_path, s3)
        log = write_log(
            desk.disk / "events.jsonl",
            random_sessions(5, listeners=60, tracks=200, sessions=600),
        )
        (desk.disk / "search.yaml").write_text(SEARCH)
        search = ("-m", "recsys.search", "--config", "search.yaml", "--store")
        desk.run("-m", "recsys.ingest", log.name, "--store", "store")
        desk.run(*search, "store", "--run", "run")
        desk.run("-m", "recsys.ingest", log.name, "--store", f"s3://{BUCKET}/store")
        workers = [make_machine(host, tmp_path, s3) for host in of_workers]
        for worker in workers:
            start_worker(under=worker.under)
        there = (
            f"s3://{BUCKET}/store",
            "--run",
            f"s3://{BUCKET}/there",
            "--scheduler",
            address,
        )
        desk.run(*search, *there, "--set", "cluster.fit=blocks")
        desk.run("-c", FETCH, "there")
        assert_same(desk.disk / "there", desk.disk / "run")
        assert not list(
            desk.seen.iterdir()
        )  # nobody left anything where only others could see it
        assert all((worker.disk / "scratch").is_dir() for worker in workers)
