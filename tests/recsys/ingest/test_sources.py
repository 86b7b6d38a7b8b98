"""Ten ways in which a log comes twice: every event is counted once."""

import gzip
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.ab.events import read_events
from analysis.errors import AnalysisError
from analysis.logs.lines import BYTE_ORDER_MARK
from looplib.checksums import named
from recsys.ingest.pipeline import ingest
from recsys.store.reader import open_store
from tests.recsys.events import event, read_rows
from tests.recsys.tables import ingest_tables

LINES = [
    json.dumps(event(user=n % 7, track=n, timestamp=1_767_225_600_000 + n)).encode()
    + b"\n"
    for n in range(150)
]
MORE = json.dumps(event(track=150, timestamp=1_767_225_700_000)).encode() + b"\n"
OLD, NEW, ALL = b"".join(LINES[:100]), b"".join(LINES[100:]), b"".join(LINES)
MARKED = BYTE_ORDER_MARK + ALL
Change = Callable[[Path], object]


def write(name: str, content: bytes) -> Change:
    """Make a change that writes a file, packed where its name says so."""

    def change(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    return change


def rename(name: str, other: str) -> Change:
    return lambda folder: (folder / name).rename(folder / other)


def pack(folder: Path) -> None:
    (log,) = folder.glob("*.jsonl")
    write(f"{log.name}.gz", log.read_bytes())(folder)
    log.unlink()


def close(content: bytes) -> Change:
    """Make a change that closes the service's segment, which has some content by then."""

    def change(folder: Path) -> None:
        (folder / ".events-a.jsonl").unlink()
        closed = named(folder / "events-a.jsonl", zlib.crc32(content))
        closed.write_bytes(content)

    return change


WAYS: dict[str, list[Change]] = {
    "grown": [write("a.log", OLD), write("a.log", ALL)],
    "grown by half a line": [write("a.log", ALL[:7777]), write("a.log", ALL)],
    "packed": [write("a.jsonl", ALL), pack],
    "packed in two members": [
        write("a.jsonl", ALL),
        lambda folder: (folder / "b.jsonl.gz").write_bytes(
            gzip.compress(OLD) + gzip.compress(NEW)
        ),
    ],
    "moved": [
        write("a.log", ALL),
        write("new/x.log", ALL),
        lambda folder: (folder / "a.log").unlink(),
    ],
    "copied": [write("a.log", OLD), write("b.log", OLD), write("a.log", ALL)],
    "copied at once": [
        lambda folder: [write(f"{n}.log", ALL[: -n or None])(folder) for n in range(3)]
    ],
    "cut": [write("a.log", ALL), write("b.log", OLD)],
    "cut and continued": [
        write("a.log", OLD),
        write("old.log.gz", OLD),
        write("a.log", NEW),
    ],
    "numbered": [
        write("a.log", OLD),
        rename("a.log", "a.log.1"),
        write("a.log", NEW),
        rename("a.log.1", "a.log.2"),
        write("a.log.2.gz", OLD),
    ],
    "joined": [write("a.log", OLD), write("b.log", NEW), write("c.log", ALL)],
    "with a byte order mark": [write("a.log", ALL), write("b.log", MARKED)],
    "with a byte order mark, grown": [
        write("a.log", BYTE_ORDER_MARK + OLD),
        write("a.log", MARKED),
        write("b.log", ALL),
    ],
    "open": [write(".events-a.jsonl", OLD), write(".events-a.jsonl", ALL[:-1] + b"\n")],
    "closed": [write(".events-a.jsonl", ALL[:7777]), close(ALL)],
    "mixed": [
        write("a.jsonl.gz", OLD),
        write(".events-a.jsonl", NEW[:5000]),
        write("b.log", OLD),
        close(NEW),
        pack,
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_event_is_counted_once(tmp_path: Path, way: str) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    for change in WAYS[way]:
        change(log)
        report = ingest([log], store)
        assert ingest([log], store).added == ()
    assert [*range(150)] == sorted(row["track"] for row in read_rows(report.store))
    lines = [source.lines for source in report.store.manifest.sources]
    assert sum(line.good for line in lines) == 150
    shutil.rmtree(store)
    with read_events([log]) as events:  # a report on the logs counts the same
        assert ingest([log], store).lines == events.lines


@pytest.mark.parametrize(
    "content",
    [
        b"".join(LINES[37:]),
        b"".join(reversed(LINES)),
        b"".join([*LINES[60:], MORE]),
        MORE + ALL,
    ],
    ids=["beginning cut", "sorted", "beginning cut, and grown", "within another"],
)
@pytest.mark.parametrize("name", ["a.log", "A.log"])
def test_a_log_with_events_of_another_is_refused_and_named(
    tmp_path: Path, content: bytes, name: str
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    write("a.log", ALL)(log)
    before = ingest([log], store).store
    write(name, content)(log)
    with pytest.raises(AnalysisError, match="so they would count twice"):
        ingest([log], store)
    assert open_store(store).manifest == before.manifest
    if len(list(log.iterdir())) > 1:
        with pytest.raises(AnalysisError, match="twice"), read_events([log]):
            pass


def test_numbered_requests_of_logs_that_overlap_count_once(tmp_path: Path) -> None:
    lines = [
        json.dumps(event(user=1, track=n, timestamp=1_767_225_600_000 + n, request=n))
        for n in range(100)
    ]
    for name, some in (("a.log", lines[:70]), ("b.log", lines[30:])):
        (tmp_path / name).write_text("\n".join(some))
    assert ingest([tmp_path], tmp_path / "store").store.manifest.events == 100


def test_a_table_that_grew_is_refused_and_named(tmp_path: Path) -> None:
    table, store = tmp_path / "a.csv", tmp_path / "store"
    rows = b"uid,song,seconds,ts\na,b,1,2026-01-05\n"
    table.write_bytes(rows)
    ingest_tables(tmp_path, table)
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(rows))
    ingest_tables(tmp_path, packed)
    table.write_bytes(rows + b"a,c,1,2026-01-06\n")
    with pytest.raises(AnalysisError, match=r"a\.csv: grew since .*a\.csv was read"):
        ingest_tables(tmp_path, table)
    assert open_store(store).manifest.events == 1
    flipped = bytearray(packed.read_bytes())
    flipped[-6] ^= 1
    packed.write_bytes(flipped)
    with pytest.raises(AnalysisError, match=r"b\.csv\.gz: a damaged gzip file"):
        ingest_tables(tmp_path / "other", packed)
