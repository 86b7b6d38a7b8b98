"""Ingest: logs in any order and any form become the same store, all of them or nothing."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.logs import reader as event_log
from analysis.logs.columns import Reading, parse_columns
from analysis.logs.files import LogFile, digest
from analysis.logs.lines import LineCounts
from looplib.cli import run
from recsys.errors import IngestError, StoreError
from recsys.ingest import __main__ as ingest_command
from recsys.ingest import pipeline as ingest
from recsys.ingest import sources
from recsys.store.buckets import bucket_of
from recsys.store.remote import Store, open_store
from tests.recsys.events import COLLECTION, event, read_rows, write_log

COLUMNS = {
    "user": pa.int64(),
    "timestamp": pa.int64(),
    "message": pa.string(),
    "track": pa.int64(),
    "time": pa.float64(),
    "latency": pa.float64(),
    "recommendation": pa.int64(),
    "experiments": pa.string(),
    "session": pa.string(),
    "recommender": pa.string(),
    "propensity": pa.float64(),
    "request": pa.int64(),
}


def events(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Distinct events of a few users, some at the same millisecond."""
    generator = np.random.default_rng(seed)
    made = [
        event(
            user=int(generator.integers(20)),
            timestamp=1_767_225_600_000 + int(generator.integers(count)),
            track=number,
            message="last" if generator.random() < 0.2 else "next",
            time=int(generator.integers(101)) / 100,
        )
        for number in range(count)
    ]
    assert len({json.dumps(row) for row in made}) == count
    return made


def ingested(folder: Path, logs: list[Path], buckets: int | None = None) -> Store:
    return ingest.ingest(logs, folder / "store", buckets=buckets).store


def test_the_store_has_the_documented_columns_and_order(tmp_path: Path) -> None:
    store = ingested(
        tmp_path, [write_log(tmp_path / "a.jsonl", events(3000))], buckets=4
    )
    for bucket in range(4):
        (file,) = store.bucket_files(bucket)
        table = pq.read_table(file, partitioning=None)
        assert {
            name: table.schema.field(name).type for name in table.column_names
        } == COLUMNS
        keys = [
            (row["user"], row["timestamp"], row["message"] == "last", row["track"])
            for row in table.to_pylist()
        ]
        assert keys == sorted(keys)
        assert set(bucket_of(table["user"].to_numpy(), 4).tolist()) == {bucket}


def test_the_manifest_says_what_the_store_holds(tmp_path: Path) -> None:
    made = events(100)
    log = write_log(tmp_path / "a.jsonl", made, more=b"garbage\n\n")
    store = ingested(tmp_path, [log])
    (source,) = store.manifest.sources
    assert source.name == str(log)
    assert source.bytes == log.stat().st_size
    assert source.lines == LineCounts(read=101, good=100, rejected=1)
    assert store.manifest.events == 100


@pytest.mark.slow
def test_the_order_of_files_and_runs_changes_no_row_and_no_digest_and_that_of_lines_no_row(
    tmp_path: Path,
) -> None:
    made, generator = events(600), np.random.default_rng(2)
    stores = []
    for number, runs in enumerate([[3], [1, 2], [2, 1], [1, 1, 1], [3]]):
        lines = (
            [made[position] for position in generator.permutation(600)]
            if number == 4
            else made
        )
        folder, order = tmp_path / str(number), generator.permutation(3)
        logs = iter(
            [write_log(folder / f"{part}.jsonl", lines[part::3]) for part in order]
        )
        for size in runs:
            ingested(folder, list(itertools.islice(logs, size)))
        stores.append(open_store(folder / "store"))
    first, *others = [sorted(map(repr, read_rows(store))) for store in stores]
    assert len(first) == 600
    assert all(rows == first for rows in others)
    assert [store.manifest.digest == stores[0].manifest.digest for store in stores] == [
        True
    ] * 4 + [False]


def test_the_same_content_again_adds_nothing_under_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, copy = (
        write_log(tmp_path / name, events(50)) for name in ("a.jsonl", "copy.log")
    )
    report = ingest.ingest([log, copy], tmp_path / "store")
    assert (report.store.manifest.events, [file.path for file in report.known]) == (
        50,
        [copy],
    )
    assert (
        run(
            ingest_command.app,
            ingest_command.PROG,
            [str(copy), str(log), "--store", str(tmp_path / "store")],
        )
        == 0
    )
    assert (
        f"{copy}: its content is in the store already, nothing added"
        in capsys.readouterr().out
    )
    assert open_store(tmp_path / "store").manifest == report.store.manifest


def test_later_logs_make_further_parts(tmp_path: Path) -> None:
    first = ingested(
        tmp_path, [write_log(tmp_path / "a.jsonl", events(400, seed=1))], buckets=2
    )
    second = ingested(tmp_path, [write_log(tmp_path / "b.jsonl", events(400, seed=2))])
    assert second.manifest.events == 800
    assert [len(second.bucket_files(bucket)) for bucket in range(2)] == [2, 2]
    assert set(first.manifest.parts) < set(second.manifest.parts)


def test_files_folders_patterns_and_gzip_can_be_mixed(tmp_path: Path) -> None:
    write_log(tmp_path / "folder" / "deep" / "a.jsonl", events(30, seed=1))
    write_log(tmp_path / "b-1.log", events(30, seed=2))
    packed = tmp_path / "c.json.gz"
    packed.write_bytes(
        gzip.compress(write_log(tmp_path / "c.json", events(30, seed=3)).read_bytes())
    )
    paths = [str(tmp_path / "folder"), str(tmp_path / "b-*.log"), str(packed)]
    assert ingest.ingest(paths, tmp_path / "store").store.manifest.events == 90


def test_experiments_are_stored_as_canonical_json(tmp_path: Path) -> None:
    arms = [{"b": "T1", "a": "C"}, {"a": "C", "b": "T1"}, {}, None]
    log = write_log(
        tmp_path / "a.jsonl",
        [event(user=1, track=n, experiments=arm) for n, arm in enumerate(arms)],
    )
    rows = sorted(read_rows(ingested(tmp_path, [log])), key=lambda row: row["track"])
    assert [row["experiments"] for row in rows] == [
        '{"a":"C","b":"T1"}',
        '{"a":"C","b":"T1"}',
        "{}",
        None,
    ]


def test_rejects_are_kept_counted_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(
        tmp_path / "a.jsonl", events(10), more=b'{"user": 1}\n\n' + b"x" * 20
    )
    assert (
        run(
            ingest_command.app,
            ingest_command.PROG,
            [str(log), "--store", str(tmp_path / "store")],
        )
        == 1  # more than 5 %
    )
    printed = capsys.readouterr().out
    assert f"{log}:11: Object missing required field `message`" in printed
    assert f"{log}:13: not JSON" in printed
    (source,) = open_store(tmp_path / "store").manifest.sources
    kept = tmp_path / "store" / "rejects" / f"{source.digest}.jsonl"
    assert str(kept.parent) in printed
    assert [reject.text for reject in event_log.read_rejects(kept)] == [
        '{"user": 1}',
        "x" * 20,
    ]


def test_no_more_rejects_are_kept_than_allowed_and_all_are_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sources, "MOST_KEPT_BYTES", 1000)
    bad = b"x" * 100 + b"\n"
    log = write_log(tmp_path / "a.jsonl", events(10), more=bad * 2000)
    table = tmp_path / "b.jsonl"
    table.write_bytes(b'{"user": 1, "track": 2}\n' + bad * 2000)
    for file, options in ((log, []), (table, ["--columns", "user=user,item=track"])):
        store = tmp_path / f"store-{file.stem}"
        argv = [str(file), "--store", str(store), *options]
        assert run(ingest_command.app, ingest_command.PROG, argv) == 1
        (source,) = open_store(store).manifest.sources
        assert source.lines.rejected == 2000
        kept = store / source.rejects
        assert 500 < kept.stat().st_size <= 1000
        count = len(list(event_log.read_rejects(kept)))
        assert f"\n{count} rejected lines are kept in " in capsys.readouterr().out


def test_the_printed_lines_add_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(tmp_path / "log" / "a.jsonl", events(10), more=b"garbage\n\n")
    write_log(tmp_path / "log" / "b.jsonl", [], more=b"garbage\n")
    argv = [str(tmp_path / "log"), "--store", str(tmp_path / "store")]
    assert run(ingest_command.app, ingest_command.PROG, argv) == 1
    printed = capsys.readouterr().out.splitlines()
    assert "2 new files: 12 lines = 10 good + 2 rejected" in printed


def test_logs_without_an_event_are_an_error_and_make_no_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "a.jsonl", [], more=b"\ngarbage\n")
    assert (
        run(
            ingest_command.app,
            ingest_command.PROG,
            [str(log), "--store", str(tmp_path / "store")],
        )
        == 2
    )
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"no event in 1 files; the first line refused is {log}:2: not JSON" in line
    with pytest.raises(StoreError, match="no session store here"):
        open_store(tmp_path / "store")


def test_a_known_catalogue_rejects_ids_beyond_it(tmp_path: Path) -> None:
    made = [
        event(user=1, track=9),
        event(user=1, track=10),
        event(user=1, track=0, recommendation=10),
    ]
    log = write_log(tmp_path / "log" / "a.jsonl", made, tracks=10)
    report = ingest.ingest([log], tmp_path / "store")
    assert report.lines == LineCounts(read=3, good=1, rejected=2)
    kept = report.store.path / report.added[0].rejects
    reasons = [reject.reason for reject in event_log.read_rejects(kept)]
    assert reasons[0] == "the catalogue's last track is 9, found 10 - at `$.track`"
    assert report.store.manifest.catalogue
    assert report.store.manifest.catalogue.tracks == 10


def test_two_worlds_do_not_mix(tmp_path: Path) -> None:
    first = write_log(tmp_path / "one" / "a.jsonl", events(10, seed=1), tracks=100)
    other = write_log(tmp_path / "other" / "b.jsonl", events(10, seed=2), tracks=101)
    with pytest.raises(
        IngestError,
        match=r"two worlds: .*one.* has 100 tracks.* and .*other.* has 101 tracks",
    ):
        ingest.ingest([first, other], tmp_path / "store")
    before = ingested(tmp_path, [first])
    with pytest.raises(
        IngestError,
        match=r"two worlds: .*store has 100 tracks.* and .*other.* has 101 tracks",
    ):
        ingest.ingest([other], tmp_path / "store")
    assert open_store(tmp_path / "store").manifest == before.manifest


def test_logs_of_no_known_world_do_not_join_one(tmp_path: Path) -> None:
    unknown = write_log(tmp_path / "a" / "a.jsonl", events(50, seed=1))
    known = write_log(tmp_path / "b" / "b.jsonl", events(10, seed=2), tracks=50)
    assert ingested(tmp_path, [unknown]).manifest.catalogue is None
    with pytest.raises(
        IngestError, match=r"two worlds: .* has events of no catalogue, and .* has 50"
    ):
        ingest.ingest([known], tmp_path / "store")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        '{"catalogue": {"sha256": "x"}}',
        '{"catalogue": {"sha256": "x", "tracks": 5}, "crc32": "0"}',
    ],
)
def test_a_damaged_description_is_an_error(tmp_path: Path, content: str) -> None:
    log = write_log(tmp_path / "a.jsonl", events(5))
    (tmp_path / COLLECTION).write_text(content)
    with pytest.raises(
        IngestError, match=r"collection\.json: no description of a collection"
    ):
        ingest.ingest([log], tmp_path / "store")


def test_the_number_of_buckets_is_the_stores(tmp_path: Path) -> None:
    ingested(tmp_path, [write_log(tmp_path / "a.jsonl", events(5, seed=1))], buckets=3)
    later = write_log(tmp_path / "b.jsonl", events(5, seed=2))
    with pytest.raises(StoreError, match="has 3 buckets, not 4"):
        ingest.ingest([later], tmp_path / "store", buckets=4)
    assert ingested(tmp_path, [later]).manifest.buckets == 3


def test_a_log_that_grows_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write_log(tmp_path / "a.jsonl", events(5))

    def digest_and_grow(file: LogFile) -> str:
        found = digest(file)
        write_log(log, events(6))
        return found

    monkeypatch.setattr("recsys.ingest.sources.digest", digest_and_grow)
    with pytest.raises(IngestError, match="changed while it was read"):
        ingest.ingest([log], tmp_path / "store")


def test_a_log_without_events_changes_no_text_ids(tmp_path: Path) -> None:
    write_log(tmp_path / "a.jsonl", [event(user="ann"), event(user="bob")])
    before = ingested(tmp_path, [tmp_path / "a.jsonl"])
    (tmp_path / "b.jsonl").write_text("\n")
    after = ingested(tmp_path, [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert len(after.manifest.sources) == 2
    assert after.manifest.table == before.manifest.table
    assert len(read_rows(after)) == 2


def test_too_little_memory_says_so(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("user,item\n1,2\n")
    reading = Reading(parse_columns("user=user,item=item"))
    with pytest.raises(
        IngestError, match="too little memory, allow more with --set memory"
    ):
        ingest.ingest([table], tmp_path / "store", reading, memory="1MB")


def test_many_batches_of_many_buckets_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.ingest.events.ROWS_AT_ONCE", 500)
    logs = [
        write_log(tmp_path / f"{part}.jsonl", events(1000, seed=part))
        for part in range(6)
    ]
    store = ingested(tmp_path, logs, buckets=32)
    assert store.manifest.events == len(read_rows(store)) == 6000


def requests(*sent: tuple[int, str, int | None, int]) -> list[dict[str, Any]]:
    """Events by (user, message, request, track), a millisecond apart."""
    return [
        event(
            user=user,
            track=track,
            timestamp=1_767_225_600_000 + n,
            message=message,
            request=request,
        )
        for n, (user, message, request, track) in enumerate(sent)
    ]


def test_an_event_that_was_sent_again_is_counted_once_the_first_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = requests(
        (1, "next", 5, 10),
        (1, "next", 5, 11),  # again
        (2, "next", 5, 12),
        (1, "last", 5, 13),
        (1, "next", 6, 14),
        (1, "next", None, 15),
        (1, "next", None, 15),
    )
    second = requests((1, "next", 6, 16), (2, "last", 5, 17), (1, "next", 5, 18))
    logs = [
        write_log(tmp_path / "a.jsonl", first),
        write_log(tmp_path / "b.jsonl", second),
    ]
    report = ingest.ingest(logs, tmp_path / "together")
    ingest_command.print_report(report)
    assert report.lines.good == 10
    assert report.store.manifest.events == 7
    assert (
        "3 events have another's user, message and request" in capsys.readouterr().out
    )
    found = sorted(row["track"] for row in read_rows(report.store))
    assert found == [10, 12, 13, 14, 15, 15, 17]


def test_an_event_that_was_sent_again_and_is_in_a_later_ingest_is_counted_once(
    tmp_path: Path,
) -> None:
    first = requests((1, "next", 5, 10), (1, "next", None, 11))
    second = requests((1, "next", 5, 12), (1, "next", 6, 13), (3, "next", 5, 14))
    ingested(tmp_path, [write_log(tmp_path / "a.jsonl", first)])
    store = ingested(tmp_path, [write_log(tmp_path / "b.jsonl", second)])
    assert store.manifest.events == 4
    assert sorted(row["track"] for row in read_rows(store)) == [10, 11, 13, 14]
