"""Ingest: logs in any order and any form become the same store, all of them or nothing."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.logs import reader as event_log
from analysis.logs import sources
from analysis.logs.lines import LineCounts
from analysis.plays.draft import draft_columns
from analysis.store import Store
from recsys.errors import IngestError
from recsys.ingest import pipeline as ingest
from recsys.ingest.report import describe_ingest
from recsys.store.reader import open_store
from tests.conftest import Run
from tests.recsys.events import (
    COLLECTION,
    event,
    random_events,
    read_rows,
    write_log,
)
from tests.recsys.tables import ingest as run_ingest


def ingested(folder: Path, *logs: Path) -> Store:
    return ingest.ingest(logs, folder / "store", partitions=4).store


def test_the_order_of_files_and_runs_changes_no_row_and_no_digest_and_that_of_lines_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.ingest.events.ROWS_AT_ONCE", 50)
    rows = random_events(600)
    generator = np.random.default_rng(2)
    shuffled = [rows[position] for position in generator.permutation(600)]
    stores = []
    for number, runs in enumerate([[3], [1, 2], [2, 1], [1, 1, 1], [3]]):
        lines = shuffled if number == 4 else rows
        folder = tmp_path / str(number)
        logs = iter(
            write_log(folder / f"{part}.jsonl", lines[part::3])
            for part in generator.permutation(3)
        )
        for size in runs:
            store = ingested(folder, *itertools.islice(logs, size))
        stores.append(store)
    first, *later = [sorted(map(repr, read_rows(store))) for store in stores]
    assert len(first) == 600
    assert all(rows == first for rows in later)
    digests = [store.manifest.digest for store in stores]
    assert len({*digests[:4]}) == 1
    assert digests[4] != digests[0]
    # later logs make further parts
    assert len(stores[3].manifest.parts) == 3 * len(stores[0].manifest.parts)


def test_plays_of_the_future_are_counted(tmp_path: Path) -> None:
    moments = [1_767_225_600_000, *[time.time_ns() // 10**6 + 86_400_000] * 3]
    events = [event(user=number, timestamp=at) for number, at in enumerate(moments)]
    report = ingest.ingest([write_log(tmp_path / "a.jsonl", events)], tmp_path / "s")
    assert "\n3 new plays are later than the clock of this" in describe_ingest(report)


def test_rejects_are_kept_counted_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(
        tmp_path / "a.jsonl", random_events(10), more=b'{"user": 1}\n\n' + b"x" * 20
    )
    assert run_ingest(tmp_path / "other", log, "--allow-rejects") == 0
    capsys.readouterr()
    assert run_ingest(tmp_path / "store", log) == 1
    printed, errors = capsys.readouterr()
    assert "16.7% of the lines are rejected, above 5%" in errors
    assert "1 new sources: 12 lines = 10 good + 2 rejected" in printed
    assert f"2 rejected lines are kept in {tmp_path / 'store' / 'rejects'}" in printed
    (source,) = open_store(tmp_path / "store").manifest.sources
    assert (source.name, source.bytes) == (str(log), log.stat().st_size - 20)
    assert source.lines == LineCounts(read=12, good=10, rejected=2)
    rejects = event_log.read_rejects(tmp_path / "store" / source.rejects)
    assert [reject.text for reject in rejects] == ['{"user": 1}', "x" * 20]


def test_no_more_rejects_are_kept_than_allowed_and_all_are_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sources, "MOST_KEPT_BYTES", 1000)
    bad = b"x" * 100 + b"\n"
    good = b'{"user": 1, "track": 2}\n'
    log = write_log(tmp_path / "a.jsonl", random_events(10), more=bad * 2000)
    table = write_log(tmp_path / "b.jsonl", [], more=good + bad * 2000)
    for file, options in ((log, []), (table, ["--columns", "user=user,item=track"])):
        store = tmp_path / f"store-{file.stem}"
        assert run_ingest(store, file, *options) == 1
        (source,) = open_store(store).manifest.sources
        assert source.lines.rejected == 2000
        kept = store / source.rejects
        assert 500 < kept.stat().st_size <= 1000
        count = len(list(event_log.read_rejects(kept)))
        assert f"\n{count} rejected lines are kept in " in capsys.readouterr().out


def test_logs_without_an_event_are_an_error_and_make_no_store(
    tmp_path: Path, refusal: Run
) -> None:
    log = write_log(tmp_path / "a.jsonl", [], more=b"\ngarbage\n")
    message = f"no play in 1 files; the first line refused is {log}:2: not JSON"
    assert message in refusal("ingest", log, "--store", tmp_path / "store")
    assert not (tmp_path / "store" / "manifest.json").exists()


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
    first = write_log(
        tmp_path / "one" / "a.jsonl", random_events(10, seed=1), tracks=100
    )
    other = write_log(
        tmp_path / "other" / "b.jsonl", random_events(10, seed=2), tracks=101
    )
    of_none = write_log(tmp_path / "none" / "c.jsonl", random_events(10, seed=3))
    another = r"and .*other.* has 101 tracks"
    with pytest.raises(
        IngestError, match=rf"two catalogues: .*one.* has 100 .*{another}"
    ):
        ingested(tmp_path, first, other)
    before = ingested(tmp_path, first)
    with pytest.raises(
        IngestError, match=rf"two catalogues: .*store has 100 .*{another}"
    ):
        ingested(tmp_path, other)
    assert open_store(tmp_path / "store") == before
    assert ingested(tmp_path / "new", of_none).manifest.catalogue is None
    with pytest.raises(IngestError, match=rf"has events of no catalogue, {another}"):
        ingested(tmp_path / "new", other)


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
    log = write_log(tmp_path / "a.jsonl", random_events(5))
    (tmp_path / COLLECTION).write_text(content)
    message = r"collection\.json: no description of a collection"
    with pytest.raises(IngestError, match=message):
        ingested(tmp_path, log)


def test_a_log_without_events_changes_no_text_ids(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.jsonl", [event(user="ann"), event(user="bob")])
    ingested(tmp_path, log)
    empty = write_log(tmp_path / "b.jsonl", [], more=b"\n")
    manifest = ingested(tmp_path, log, empty).manifest
    assert len(manifest.sources) == manifest.events == 2
    assert manifest.text_users
    assert [file.of for file in manifest.id_files] == ["users"]


def test_too_little_memory_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.plays.check.MEMORY", "1MB")
    table = tmp_path / "a.csv"
    table.write_text("user,item\n1,2\n")
    query = draft_columns([table], {"listener": "user", "track": "item"})
    message = "of memory is too little; ingest fewer files at a time"
    with pytest.raises(IngestError, match=message):
        ingest.ingest(query, tmp_path / "store")


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
    tmp_path: Path,
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
        write_log(tmp_path / f"{number}.jsonl", events)
        for number, events in enumerate((first, second))
    ]
    report = ingest.ingest(logs, tmp_path / "together")
    assert report.lines.good == 10
    assert "\n3 events were sent again" in describe_ingest(report)
    for log in logs:
        later = ingested(tmp_path, log)
    for store in (report.store, later):
        tracks = sorted(row["track"] for row in read_rows(store))
        assert tracks == [10, 12, 13, 14, 15, 15, 17]
