"""The loop on a full disk at several of its stages; the limit on file sizes stands for the disk's."""

import resource
from pathlib import Path

import pytest

from tests.faults.loops import Running, assert_whole, make_loop

PROG = "python -m recsys.loop"
LITTLE, FOR_METRICS = 2**14, 2**20  # the service's metrics begin with files of a mebibyte
_, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_a_full_disk_the_loop_ends_in_one_line_and_with_room_it_goes_on(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, episodes=3000)
    # From this stage on there is no room: for the collection, the store, what is published, the service's log.
    for stage, step, room in (
        ("sim.world", "Listening under random recommendations", LITTLE),
        ("sim.run --config", "Logs to sessions", LITTLE),
        ("recsys.search", "Publishing the winner", LITTLE),
        ("recsys.export", "day 1", FOR_METRICS),
    ):
        with Running(loop, 1) as running:
            running.wait_for(stage)
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (room, HARD))  # of what it starts from now
            assert running.end() == 2, running.text
            last = running.lines[-1]
        assert last.startswith(f"{PROG}: error: {step}: "), running.text
        assert "Traceback" not in running.text
    with Running(loop, 1) as running:
        assert running.end() == 0, running.text
    assert_whole(loop, 1)


@pytest.mark.slow
def test_a_loop_that_cannot_write_its_own_folder_says_so_in_one_line(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    with Running(loop, 1, prefix=["bash", "-c", 'ulimit -Sf 0 && exec "$@"', "bash"]) as running:
        assert running.end() == 2
    (line,) = running.lines
    assert line.startswith(f"{PROG}: error: ")
    assert "File too large" in line
