"""A full disk, which a limit on file sizes stands for: nothing acknowledged is lost."""

import resource
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.served import Load, Published, logged_answers, serve
from tests.waiting import wait_until


@pytest.mark.slow
def test_while_the_disk_is_full_requests_are_refused_and_nothing_acknowledged_is_lost(
    published: Published, tmp_path: Path
) -> None:
    limited = ["bash", "-c", 'ulimit -Sf 64 && exec "$@"', "bash"]
    with serve(published, tmp_path / "log", prefix=limited, fsync="always") as served:
        with Load(served.port, clients=4) as load:
            wait_until(lambda: load.statuses[503] > 50, "requests to be refused")
            assert served.ask("GET", "/health/live")[0] == 200
            status, answer = served.ask("GET", "/health/ready")
            assert status == 503
            assert "events cannot be written" in answer["problems"][0]
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            for worker in served.workers():
                resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard, hard))
            load.wait_for(100)
            wait_until(served.is_ready, "the service to be ready again")
        assert served.stop() == 0
    complaints = served.errors.read_text().count("events cannot be written")
    assert complaints == 1, "not a line a request"
    assert set(load.statuses) == {200, 503}
    assert load.broken == []
    assert logged_answers(tmp_path / "log") == Counter(load.answers)
