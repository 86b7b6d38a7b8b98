import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import orjson
import pytest

from analysis.logs.files import discover
from analysis.logs.lines import parse_line
from botify import event_log, limits
from botify.errors import BotifyError
from botify.event_log import (
    Fsync,
    SegmentWriter,
    adopt_segments,
    describe_log,
    event_line,
)
from botify.model.catalogue import load_catalogue
from looplib.checksums import unseal
from looplib.files import sha256_file
from tests.analysis.logs.lines import EVENT
from tests.botify.exports import write_catalogue
from tests.waiting import wait_until

Open = Callable[..., SegmentWriter]


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_(policy: Fsync = "never") -> SegmentWriter:
            return stack.enter_context(closing(SegmentWriter(tmp_path, policy)))

        yield open_


def final(folder: Path, pattern: str = "events-*.jsonl") -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(pattern))]


def growing(folder: Path) -> list[bytes]:
    return final(folder, ".events-*.jsonl")


def test_a_line_has_the_fields_of_the_log_null_or_absent_where_nothing_is_known() -> (
    None
):
    line = event_line(**EVENT)
    assert line.endswith(b"\n")
    assert orjson.loads(line) == EVENT
    assert parse_line(line).propensity == EVENT["propensity"]
    unknown = ("recommendation", "session", "recommender", "propensity")
    event = EVENT | dict.fromkeys(unknown)
    del event["request"]
    assert orjson.loads(event_line(**event)) == event


def test_an_append_is_on_file_at_once_and_seen_by_readers_once_closed(
    tmp_path: Path, open_log: Open
) -> None:
    log = open_log()
    log.append(b"one\ntwo\n")
    assert growing(tmp_path) == [b"one\ntwo\n"]
    assert final(tmp_path) == []
    log.close()
    log.close()
    with pytest.raises(OSError, match="the event log is closed"):
        log.append(b"late\n")
    open_log().close()  # leaves no empty file
    assert growing(tmp_path) == []
    assert [file.path.read_bytes() for file in discover([tmp_path])] == [b"one\ntwo\n"]


def test_a_segment_is_closed_before_it_grows_over_its_size(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 10)
    log = open_log()
    for text in (b"aaaa\n", b"bbbb\n", b"cccc\n", b"longer than a segment\n"):
        log.append(text)
    assert sorted(final(tmp_path)) == [b"aaaa\nbbbb\n", b"cccc\n"]
    assert growing(tmp_path) == [b"longer than a segment\n"]


def test_a_segment_is_closed_at_its_age_though_nobody_writes(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "TICK_S", 0.01)
    monkeypatch.setattr(limits, "SEGMENT_AGE_S", 0.05)
    open_log().append(b"old\n")
    wait_until(lambda: bool(final(tmp_path)), "the segment")
    assert final(tmp_path) == [b"old\n"]


@pytest.mark.parametrize(
    ("policy", "appends", "ticks"),
    [
        ("always", [1, 2, 3], [3, 3]),
        ("everysec", [0] * 3, [1, 1]),
        ("never", [0] * 3, [0, 0]),
    ],
)
def test_the_log_is_fsynced_by_its_policy(
    open_log: Open,
    monkeypatch: pytest.MonkeyPatch,
    policy: Fsync,
    appends: list[int],
    ticks: list[int],
) -> None:
    monkeypatch.setattr(event_log, "TICK_S", 3600)  # the test ticks
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    log = open_log(policy)
    for count in appends:
        log.append(b"x\n")
        assert len(calls) == count
    for count in ticks:
        log._tick()
        assert len(calls) == count


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_disk_that_fails_raises_and_leaves_no_torn_line(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    log = open_log("always")
    log.append(b"before\n")
    write, room = os.pwrite, [5]

    def fail(handle: int, data: bytes = b"", at: int = 0) -> int:
        if not data[: room[0]]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(handle, data[: room[0]], at)
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            log.append(b"does not fit\n")
        assert growing(tmp_path) == [b"before\n"]
    log.append(b"after\n")
    log.close()
    assert final(tmp_path) == [b"before\nafter\n"]


def move(segment: Path) -> None:
    segment.parent.rename(segment.parents[1] / "elsewhere")


def cut(segment: Path) -> None:
    """Truncate a segment, as logrotate does with copytruncate."""
    os.truncate(segment, 5)


@pytest.mark.parametrize(
    ("damage", "place", "left"),
    [
        (lambda segment: shutil.rmtree(segment.parent), "log", []),
        (move, "elsewhere", [b"lost\ntoo\n"]),
        (cut, "log", [b"lost\n"]),
    ],
)
def test_after_a_segment_was_removed_moved_or_cut_the_next_event_begins_another(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    place: str,
    left: list[bytes],
) -> None:
    folder = tmp_path / "log"
    log = SegmentWriter(folder)
    log.append(b"lost\n")
    log.append(b"too\n")
    (segment,) = folder.glob(".events-*.jsonl")
    damage(segment)
    log.append(b"after\n")
    log.close()
    assert final(folder) == [b"after\n"]
    assert "removed, moved or cut; events are lost" in caplog.text
    adopt_segments(tmp_path / place)
    assert {*final(tmp_path / place)} - {b"after\n"} == {*left}


def test_threads_lose_nothing_and_mix_no_lines(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 2000)
    log = open_log()
    texts = [b"%d\n" % number for number in range(1200)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(log.append, texts))
    log.close()
    lines = b"".join(final(tmp_path)).splitlines(keepends=True)
    assert sorted(lines) == sorted(texts)
    assert max(map(len, final(tmp_path))) <= 2000


def test_a_torn_last_line_of_a_dead_process_is_cut_off_and_the_rest_published(
    tmp_path: Path,
) -> None:
    (tmp_path / ".events-a.jsonl").write_bytes(b"one\ntwo\nthr")
    (tmp_path / ".events-b.jsonl").write_bytes(b"torn from the start" * 10_000)
    (tmp_path / ".events-c.jsonl").write_bytes(b"")
    adopt_segments(tmp_path)
    assert final(tmp_path) == [b"one\ntwo\n"]
    assert growing(tmp_path) == []


def test_the_segment_of_a_living_process_is_left_alone(
    tmp_path: Path, open_log: Open
) -> None:
    log = open_log()
    log.append(b"mine\n")
    other = open_log()
    assert len(growing(tmp_path)) == 1
    log.append(b"too\n")
    other.append(b"yours\n")
    log.close()
    other.close()
    assert sorted(final(tmp_path)) == [b"mine\ntoo\n", b"yours\n"]


WRITER = """
import sys
from pathlib import Path
from botify.event_log import Fsync, SegmentWriter
from botify import limits
limits.SEGMENT_BYTES = 5000
log = SegmentWriter(Path(sys.argv[1]), "never")
for number in range(10**9):
    log.append(b"%d\\n" % number)
    print(number, flush=True)
"""


def test_after_kill_9_every_acknowledged_line_is_in_the_log(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(3000)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(text) for text in process.stdout.read().splitlines()]
    SegmentWriter(tmp_path).close()
    logged = sorted(int(text) for text in b"".join(final(tmp_path)).splitlines())
    assert logged[: len(acknowledged)] == acknowledged
    # written, and killed before the acknowledgement
    assert len(logged) - len(acknowledged) <= 1
    assert growing(tmp_path) == []


def test_the_catalogue_is_described(tmp_path: Path) -> None:
    file = write_catalogue(tmp_path / "tracks.json", [0, 1, 2])
    for _ in range(2):
        describe_log(tmp_path, load_catalogue(file))
    catalogue = {"sha256": sha256_file(file), "tracks": 3}
    described = unseal((tmp_path / "collection.json").read_bytes())
    assert described == {"schema": 1, "catalogue": catalogue}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"catalogue": {"sha256": "0", "tracks": 7}}',
            "has other ids: {'catalogue': {'sha256': '0', 'tracks': 7}} there, {'schema': 1, ",
        ),
        ('{"text_users": true}', "has other ids: {'text_users': True} there, "),
        ("[]", "collection.json: damaged (no JSON object)"),
        ('{"catalogue": ', "collection.json: damaged (unexpected end of data"),
        ('{"crc32": "0"}', "collection.json: damaged (checksum "),
    ],
)
def test_a_log_of_another_catalogue_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    catalogue = load_catalogue(write_catalogue(tmp_path / "tracks.json", [0, 1, 2]))
    (tmp_path / "collection.json").write_text(text)
    with pytest.raises(BotifyError) as caught:
        describe_log(tmp_path, catalogue)
    assert message in str(caught.value)
