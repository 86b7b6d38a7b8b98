"""The closed loop under kill -9: of itself at every stage, and of each of its processes."""

from pathlib import Path

import psutil
import pytest

from tests.faults.loops import Running, assert_whole, command_of, make_loop
from tests.faults.served import wait_until

STAGES = ("sim.world", "sim.run", "recsys.ingest", "recsys.search", "recsys.export", "botify", "analysis.ab")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_each_of_its_stages_the_loop_continues_and_every_event_counts_once(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    for stage in (*STAGES, "analysis.offpolicy"):
        with Running(loop, 1) as running:
            running.wait_for(stage)
            running.process.kill()
            running.end()
    # Day 2 learns from the log of day 1, so that day 1's own run is no longer the store's.
    with Running(loop, 2) as running:
        running.wait_for("recsys.search")
        running.process.kill()
        running.end()
    with Running(loop, 2) as running:
        assert running.end() == 0, running.text
    assert_whole(loop, 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_when_one_of_its_processes_is_killed_the_loop_says_so_or_continues_and_ends_with_a_verdict(
    tmp_path: Path,
) -> None:
    loop = make_loop(tmp_path, episodes=3000)
    log = loop.log_of(1)
    with Running(loop, 1) as running:
        search = running.wait_for("recsys.search")
        wait_until(lambda: len(dask_workers(search)) == 2 or not search.is_running(), "Dask's workers", 300)
        for worker in dask_workers(search)[:1]:
            worker.kill()
        # One that is killed while it starts may be missed for good; the search then says so.
        wait_until(lambda: running.ended or running.find("recsys.export") is not None, "the search to end", 300)
        if running.ended:
            assert running.end() == 2
            assert "The search: exit code 2; the command was: python -m recsys.search" in running.text
    with Running(loop, 1) as running:
        running.wait_for("sim.run --world").kill()
        assert running.end() == 2
        assert "Day 1: listeners: killed by SIGKILL; the command was: python -m sim.run" in running.text
    assert not (log.parent / "traffic.json").exists()

    with Running(loop, 1) as running:
        client = running.wait_for_traffic(log)
        client.suspend()
        service = running.wait_for("botify")
        workers = service.children(recursive=True)
        service.kill()
        client.resume()
        assert running.end() == 2
        assert "the service did not last: killed by SIGKILL" in running.text
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]
    assert not (log.parent / "traffic.json").exists()

    with Running(loop, 1) as running:
        client = running.wait_for_traffic(log)
        client.suspend()
        for worker in running.wait_for("botify").children():
            worker.kill()
        client.resume()
        # Its listeners' sessions are lost; where these are too many, the day fails.
        wait_until(lambda: running.ended or running.find("analysis.ab") is not None, "the traffic's end", 300)
        assert not running.ended or "sessions failed" in running.text

    with Running(loop, 1) as running:
        running.wait_for("analysis.ab").kill()
        assert running.end() == 2
        assert "The A/B report: killed by SIGKILL" in running.text

    with Running(loop, 1) as running:
        assert running.end() == 0, running.text
    assert_whole(loop, 1, most_failed=loop.episodes // 20)


def dask_workers(search: psutil.Process) -> list[psutil.Process]:
    try:
        children = search.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if "spawn_main" in command_of(child)]
