"""The closed loop under kill -9 of itself and of its service, and on a full disk."""

from pathlib import Path

import psutil
import pytest

from tests.faults.loops import Running, assert_whole, make_loop

PROG = "listening-loop loop"


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_after_kills_the_loop_continues_and_every_event_counts_once(
    tmp_path: Path,
) -> None:
    loop = make_loop(tmp_path, episodes=1000)
    log = loop.log_of(1)
    with Running(loop, 1) as running:
        running.wait_for_traffic(log)
        running.process.kill()
    assert not (log.parent / "traffic.json").exists()

    with Running(loop, 1) as running:
        client = running.wait_for_traffic(log)
        client.suspend()
        service = running.wait_for("serve")
        workers = service.children(recursive=True)
        service.kill()
        client.resume()
        assert running.end() == 2
        assert "The service failed: killed by SIGKILL" in running.text
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not [
            worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE
        ]
    assert not (log.parent / "traffic.json").exists()

    with Running(loop, 1) as running:
        assert running.end() == 0, running.text
    assert_whole(loop, 1)


def test_a_loop_that_cannot_write_its_own_folder_says_so_in_one_line(
    tmp_path: Path,
) -> None:
    loop = make_loop(tmp_path)
    with Running(
        loop, 1, prefix=["bash", "-c", 'ulimit -Sf 0 && exec "$@"', "bash"]
    ) as running:
        assert running.end() == 2
    (line,) = running.lines
    assert line.startswith(f"{PROG}: error: ")
    assert "File too large" in line
