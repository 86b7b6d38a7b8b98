"""A full disk, which a limit on file sizes stands for: nothing acknowledged is lost."""

import resource
from collections import Counter
from pathlib import Path

import psutil

from tests.faults.served import (
    Load,
    clients,
    logged_answers,
    publish_first,
    serve,
)
from tests.waiting import wait_until


def test_while_the_disk_is_full_requests_are_refused_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    limited = ["bash", "-c", 'ulimit -Sf 64 && exec "$@"', "bash"]
    settings = {"event_log": {"fsync": "always"}}
    with serve(published, tmp_path / "log", prefix=limited, **settings) as served:
        with Load(served.port, clients(4)) as load:
            wait_until(lambda: load.statuses[503] > 50, "requests to be refused")
            status, answer = served.ask("POST", "/next/7", {"track": 1, "time": 0.5})
            assert status == 503
            assert "could not be written" in answer["error"]
            assert served.ask("GET", "/health/live")[0] == 200
            status, answer = served.ask("GET", "/health/ready")
            assert status == 503
            assert "events cannot be written" in answer["problems"][0]
            acknowledged = len(load.answers)
            give_room(served.workers())
            load.wait_for(100)
            wait_until(
                lambda: served.ask("GET", "/health/ready")[0] == 200,
                "the service to be ready again",
            )
        assert served.stop() == 0
        assert served.errors.read_text().count("events cannot be written") == 1, (
            "not a line a request"
        )
    assert acknowledged > 50
    assert set(load.statuses) == {200, 503}
    assert load.broken == []
    assert logged_answers(tmp_path / "log") == Counter(load.answers), (
        "logged and acknowledged are the same"
    )


def give_room(processes: list[psutil.Process]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
