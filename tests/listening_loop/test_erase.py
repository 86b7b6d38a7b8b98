"""A listener is erased from logs and service, and what is learned from them is made again."""

import shlex
from pathlib import Path

import orjson
import pytest
import redis

from looplib.files import TEMPORARY_PREFIX
from recsys.ingest.pipeline import ingest
from recsys.store.reader import open_store
from tests.botify.redis_server import shared_server
from tests.conftest import Run
from tests.faults.served import publish_first, serve
from tests.recsys.events import event, read_rows
from tests.recsys.ingest.test_sources import NEW, OLD, close, write

USER = 3
LEFT = [track for track in range(150) if track % 7 != USER]


def tracks_in(store: Path) -> list[int]:
    return sorted(row["track"] for row in read_rows(open_store(store)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A packed log, and a closed segment with a checksum in its name."""
    for change in (write("a.jsonl.gz", OLD), write(".events-a.jsonl", NEW), close(NEW)):
        change(tmp_path / "log")
    return tmp_path / "log"


def test_the_printed_commands_learn_from_all_others(
    log: Path, tmp_path: Path, printed: Run
) -> None:
    store, config = tmp_path / "store", tmp_path / "search.yaml"
    config.write_text(f"store: {store}\nrun: {tmp_path / 'run'}\n")
    text = printed("erase", "--user", USER, "--log", log, "--config", config)
    assert f"{store}, versions in {tmp_path / 'run'}/export" in text
    commands = [shlex.split(line)[1:] for line in text.splitlines() if line[:2] == "  "]
    assert commands[1] == ["search", "--config", str(config)]
    printed(*commands[0])
    assert tracks_in(store) == LEFT


def test_ids_are_compared_as_ingest_reads_them(tmp_path: Path, printed: Run) -> None:
    others = b'["user", 7]\n{"track": 7}\n{"user": 73, "torn\n{"user": 70'
    lines = [orjson.dumps(event(user=user)) + b"\n" for user in (7, 7.0, "7")]
    first = lines[0]
    # lines that DuckDB reads although they are no JSON, and one that was cut
    lines += [first[:-2] + b",}\n", first[:-2] + b', "x": "\xff"}\n']
    lines += [b'{"user": 7, "torn\n', b'{"user" : 7.0,\n', b'{"user": 7\n']
    log = tmp_path / "a.log"
    log.write_bytes(b"\xef\xbb\xbf" + b"".join(lines) + others)
    assert "8 lines removed" in printed("erase", "--user", 7, "--log", log)
    assert log.read_bytes() == others


def test_nothing_of_the_listener_stays_in_the_folders_that_were_named(
    log: Path, tmp_path: Path, printed: Run
) -> None:
    leftover = log / f"{TEMPORARY_PREFIX}1f.gz"  # of an erasure that was killed
    leftover.write_bytes(b"half of a log")
    for file in log.iterdir():
        file.chmod(0o600)
    for replay in (log / "replay", tmp_path / "run/export/replay"):
        (replay / "answers").mkdir(parents=True)
    config = tmp_path / "search.yaml"
    config.write_text(f"store: {tmp_path / 'store'}\nrun: {tmp_path / 'run'}\n")
    arguments = ("--user", USER, "--log", log, "--config", config)
    text = printed("erase", *arguments)
    assert f"{leftover}: removed" in text
    assert f"replays ({log}/replay, {tmp_path}/run/export/replay)" in text
    files = [file for file in log.iterdir() if file.is_file()]
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_an_interrupted_erasure_goes_on(
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    printed: Run,
    refusal: Run,
) -> None:
    arguments = ("erase", "--user", USER, "--log", log)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("listening_loop.erase.atomic_write", "pathlib.Path.unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(broken, fail)
            assert "No space left" in refusal(*arguments)
    printed(*arguments)
    ingest([log], tmp_path / "store")
    assert tracks_in(tmp_path / "store") == LEFT


@pytest.mark.slow
def test_a_service_forgets_the_listener_whose_last_events_are_erased_once_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: Run, refusal: Run
) -> None:
    monkeypatch.setenv("BOTIFY_ADMIN_TOKEN", "secret")
    log, url = tmp_path / "log", shared_server().url
    settings = {"redis_url": url, "redis_prefix": "erased"}
    arguments = ("erase", "--user", USER, "--log", log)
    with serve(publish_first(tmp_path), log, **settings) as served:
        for user in (1, USER):
            body = {"track": user, "time": 0.5}
            assert served.ask("POST", f"/next/{user}", body)[0] == 200
        service = ("--service", f"http://127.0.0.1:{served.port}")
        assert "not complete" in refusal(*arguments, *service)
        with redis.Redis.from_url(url) as client:
            assert client.keys("erased:*:1")
            assert not client.keys(f"erased:*:{USER}")
        assert served.stop() == 0
    assert "does not answer" in refusal(*arguments, *service)
    printed(*arguments)
    ingest([log], tmp_path / "store")
    assert tracks_in(tmp_path / "store") == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "9", "--log", "log"], "no line of log is of listener 9"),
        (["--user", "3", "--log", "nowhere"], "nowhere: no such file or folder"),
        (["--user", "3", "--log", "log", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_cannot_be_erased_is_refused(
    log: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Run,
) -> None:
    monkeypatch.chdir(log.parent)
    assert message in refusal("erase", *arguments)
