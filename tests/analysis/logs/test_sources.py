"""Every content is read once, and packed files are checked to their ends."""

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.logs.files import LogFile, discover
from analysis.logs.reader import read
from analysis.logs.sources import NewFiles
from analysis.store import Source
from tests.analysis.logs.lines import text

LINES = [f"{text(user=user, request=...)}\n".encode() for user in range(40)]


def users_in(
    paths: Iterable[Path], scratch: Path, sources: Iterable[Source] = ()
) -> tuple[list[int], list[Source]]:
    """The listeners of new events, and the sources that they are in."""
    scratch.mkdir(exist_ok=True)
    new = NewFiles(discover(paths), scratch, sources)
    users = [user for part in read(new) for user in part.events["user"].to_pylist()]
    assert list(scratch.iterdir()) == []
    return users, [*new.sources.values()]


def test_a_log_that_grows_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(b"".join(LINES[:20]))
    new = NewFiles([LogFile(log, "a")], tmp_path)
    for (file,) in new:
        log.write_bytes(b"".join(LINES))
        assert file.path.read_bytes() == b"".join(LINES[:20])
    users, _ = users_in([log], tmp_path / "scratch", new.sources.values())
    assert users == [*range(20, 40)]


@pytest.mark.parametrize("cut", [1, 30, -1])
def test_a_last_line_that_is_not_whole_is_a_reject_until_it_is(
    tmp_path: Path, cut: int
) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(LINES[0] + LINES[1][:cut])
    users, sources = users_in([log], tmp_path / "scratch")
    again, more = users_in([log], tmp_path / "scratch", sources)
    log.write_bytes(b"".join(LINES[:3]))
    later, _ = users_in([log], tmp_path / "scratch", sources)
    # a line that lacks only its end is whole
    assert (users, again, more) == ([0, 1] if cut == -1 else [0], [], [])
    assert users + later == [0, 1, 2]


def test_rejects_of_a_log_that_grew_name_the_byte_that_they_are_counted_from(
    tmp_path: Path,
) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(LINES[0])
    _, sources = users_in([log], tmp_path / "scratch")
    log.write_bytes(LINES[0] + LINES[1] + b"garbage\n")
    (part,) = read(NewFiles(discover([log]), tmp_path, sources))
    (reject,) = part.rejects
    assert (reject.file, reject.line) == (f"{log} from byte {len(LINES[0])}", 2)


def test_of_an_open_segment_only_what_is_on_disk_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = tmp_path / ".events-a.jsonl"
    segment.write_bytes(b"".join(LINES[:2]))
    synced: list[int] = []

    def sync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        with segment.open("ab") as file:  # meanwhile
            file.write(LINES[2])

    monkeypatch.setattr(os, "fsync", sync)
    users, _ = users_in([segment], tmp_path / "scratch")
    assert users == [0, 1]
    assert synced == [segment.stat().st_ino]


@pytest.mark.parametrize(
    "content",
    [b"".join(LINES[:9] + LINES[10:]), b"".join(LINES[:9])],
    ids=["edited", "cut, and the whole one gone"],
)
def test_a_log_that_contradicts_what_was_read_is_refused_and_both_are_named(
    tmp_path: Path, content: bytes
) -> None:
    log, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    log.write_bytes(b"".join(LINES))
    _, sources = users_in([log], tmp_path / "scratch")
    log.unlink()
    other.write_bytes(content)
    with pytest.raises(AnalysisError, match=r"b\.jsonl: begins like .*a\.jsonl, "):
        users_in([other], tmp_path / "scratch", sources)


PACKED = gzip.compress(b"".join(LINES[:20]), mtime=0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-1],
        lambda packed: packed + b"garbage",
        lambda packed: packed + PACKED[:-3],
        lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:],
        lambda packed: packed[:-4] + b"\0\0\0\0",
        lambda packed: packed[:0],
        lambda packed: packed[:5],
        lambda packed: b"no gzip" + packed,
    ],
    ids=[
        "cut",
        "garbage behind",
        "a cut member behind",
        "crc",
        "length",
        "empty",
        "begun",
        "none",
    ],
)
def test_a_packed_log_is_checked_to_its_end(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    log = tmp_path / "a.jsonl.gz"
    log.write_bytes(PACKED + gzip.compress(b"".join(LINES[20:])))
    assert users_in([log], tmp_path / "scratch")[0] == [*range(40)]
    log.write_bytes(damage(PACKED))
    with pytest.raises(AnalysisError, match=r"a\.jsonl\.gz: a damaged gzip file"):
        users_in([log], tmp_path / "scratch")


def test_no_flip_in_a_packed_log_changes_what_is_read(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl.gz"
    chance = np.random.default_rng(7)
    refused = 0
    for _ in range(200):
        flipped = bytearray(PACKED)
        flipped[chance.integers(len(flipped))] ^= 1 << int(chance.integers(8))
        log.write_bytes(flipped)
        try:
            for (copy,) in NewFiles(discover([log]), tmp_path):
                # a time, or such, has changed in the header
                assert copy.path.read_bytes() == b"".join(LINES[:20])
        except AnalysisError:
            refused += 1
    assert refused > 150
