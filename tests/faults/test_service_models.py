"""New versions while serving: reloads under load, and versions that cannot be used."""

import subprocess
from pathlib import Path

from tests.botify.exports import point_to
from tests.faults.served import (
    TRACKS,
    Load,
    Served,
    assert_all_logged,
    clients,
    publish_first,
    serve,
)
from tests.waiting import wait_until

RELOADS = 40


def version_of(served: Served) -> str:
    return str(served.ask("GET", "/experiments")[1]["version"])


def test_reloads_under_load_fail_no_request_and_each_answer_is_of_one_version(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    lists = {
        version: published.publish(version, first)
        for version, first in (("low", 0), ("high", TRACKS // 2))
    }
    with serve(published, tmp_path / "log", watch_s=3600) as served:
        assert version_of(served) == "high"
        # The first rounds fill the lists of few listeners only: each is asked a few times.
        with Load(served.port, clients(4)) as load:
            for number in range(RELOADS):
                version = ("low", "high")[number % 2]
                point_to(published.folder, version)
                assert served.ask("POST", "/admin/reload") == (
                    200,
                    {"version": version},
                )
                load.wait_for(5)
    assert set(load.statuses) == {200}
    assert load.broken == []
    of_low = sum(
        answer.recommendation in lists["low"][answer.user] for answer in load.answers
    )
    of_high = sum(
        answer.recommendation in lists["high"][answer.user] for answer in load.answers
    )
    neither = [
        answer
        for answer in load.answers
        if answer.recommendation not in lists["low"][answer.user]
        and answer.recommendation not in lists["high"][answer.user]
    ]
    assert neither == []
    assert of_low > 50
    assert of_high > 50
    assert_all_logged(load, tmp_path / "log")


def test_a_bad_version_at_the_start_is_reported_in_one_line(tmp_path: Path) -> None:
    published = publish_first(tmp_path / "published")
    published.publish("bad")
    file = published.folder / "versions/bad/recommendations.jsonl"
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    served = Served(published, tmp_path / "log")
    result = subprocess.run(
        served.argv, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "sha256" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_new_version_is_seen_by_itself_and_rolled_back_on_demand(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    with (
        serve(published, tmp_path / "log", watch_s=0.05) as served,
        Load(served.port, clients(2)) as load,
    ):
        published.publish("two")
        wait_until(lambda: version_of(served) == "two", "the new version to be served")
        assert served.ask("POST", "/admin/rollback") == (200, {"version": "one"})
        load.wait_for(50)
        assert version_of(served) == "one"
    assert set(load.statuses) == {200}
