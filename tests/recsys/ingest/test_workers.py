"""Workers of a real cluster make the store that an ingest makes alone, to the byte."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from analysis.plays.query import PlaysQuery
from looplib.files import sha256_file
from recsys.errors import SearchError
from recsys.ingest import workers
from recsys.ingest.pipeline import IngestReport, ingest
from recsys.ingest.presets import make_query
from recsys.ingest.report import describe_ingest
from recsys.store.reader import open_store

pytestmark = [pytest.mark.dask, pytest.mark.slow]
ROLES = {"listener": "who", "track": "song", "played_at": "at"}


def start(workers: int) -> LocalCluster:
    return LocalCluster(  # type: ignore[no-untyped-call]  # Dask's
        n_workers=workers, threads_per_worker=1, dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Three processes with a scheduler."""
    with (
        start(3) as cluster,
        Client(cluster) as joined,  # type: ignore[no-untyped-call]  # Dask's
    ):
        yield joined


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of plays: three to read by themselves, a copy, refused rows and a torn line."""
    monkeypatch.setattr("analysis.logs.sources._LARGEST_BATCH", 1)
    folder = tmp_path / "plays"
    folder.mkdir()
    names = []
    for number in range(3):
        rows = [
            f"{row % 7},t{row * (number + 3) % 50},{1_700_000_000 + row * 60 + number}"
            for row in range(400)
        ]
        rows += [",t1,1700000000", "4,t2,yesterday", "5,t3,1700000000,further"]
        names.append(folder / f"{number}.csv")
        names[-1].write_text("\n".join(["who,song,at", *rows]) + "\n")
    names.append(folder / "copy.csv")
    names[-1].write_bytes(names[0].read_bytes())
    return [*map(str, names)]


def content(store: Path) -> dict[str, str]:
    return {
        file.relative_to(store).as_posix(): sha256_file(file)
        for file in store.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }


def summary(report: IngestReport, store: Path) -> str:
    return (
        describe_ingest(report)
        .replace(str(store.absolute()), "")
        .replace(str(store), "")
    )


@pytest.mark.parametrize("is_whole", [False, True], ids=["by file", "whole"])
def test_a_query_gives_the_same_store_and_report(
    tmp_path: Path, files: list[str], client: Client, *, is_whole: bool
) -> None:
    query = make_query(files, ROLES, None, None)
    if is_whole:
        path = tmp_path / "plays.sql"
        path.write_text(
            "SELECT DISTINCT who AS listener, song AS track, "
            'to_timestamp(TRY_CAST("at" AS BIGINT)) AS played_at '
            "FROM read_csv('plays/2.csv', ignore_errors = true) WHERE who IS NOT NULL ORDER BY ALL"
        )
        query = PlaysQuery.read(path)
    assert query
    alone, together = tmp_path / "alone", tmp_path / "together"
    expected = summary(ingest(query, alone), alone)
    assert summary(ingest(query, together, client=client), together) == expected
    assert content(together) == content(alone)
    assert open_store(together).manifest.queries == (query.sql,)
    assert not ingest(query, together, client=client).added


def test_a_file_that_grew_is_refused_on_workers_too(
    tmp_path: Path, files: list[str], client: Client
) -> None:
    grown = Path(files[1] + ".grown.csv")
    grown.write_text(Path(files[1]).read_text() + "1,t1,1700000000\n")
    query = make_query([*files, str(grown)], ROLES, None, None)
    assert query
    with pytest.raises(Exception, match=r"grown\.csv: grew since .*1\.csv was read"):
        ingest(query, tmp_path / "store", client=client)


def die_once(note: Path) -> None:
    """Let this worker die in the first check of files; the process after it is as usual."""

    def die(*_: object) -> None:
        note.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    workers.check_batch = die  # type: ignore[attr-defined, assignment]


@pytest.mark.parametrize("is_killed", [False, True])
def test_one_worker_gives_the_same_store_also_if_it_is_killed(
    tmp_path: Path, files: list[str], *, is_killed: bool
) -> None:
    query = make_query(files, ROLES, None, None)
    assert query
    alone, together = tmp_path / "alone", tmp_path / "together"
    expected = summary(ingest(query, alone), alone)
    with (
        start(1) as cluster,
        Client(cluster) as joined,  # type: ignore[no-untyped-call]  # Dask's
    ):
        if is_killed:
            joined.run(die_once, tmp_path / "killed")
        assert summary(ingest(query, together, client=joined), together) == expected
    assert (tmp_path / "killed").exists() == is_killed
    assert content(together) == content(alone)


def test_logs_are_read_by_a_worker(
    tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(
            f'{{"message":"next","timestamp":{1_700_000_000_000 + time},"user":{time % 5},'
            f'"track":{time % 9},"time":0.5,"latency":0.01,"recommendation":3}}\n'
            for time in range(1, 200)
        )
        + "torn"
    )
    alone, together = tmp_path / "alone", tmp_path / "together"
    expected = summary(ingest([log], alone), alone)
    capsys.readouterr()
    assert summary(ingest([log], together, client=client), together) == expected
    assert (
        "event logs and tables of databases are read by one worker"
        in capsys.readouterr().err
    )
    assert content(together) == content(alone)


def test_a_closed_client_is_refused_in_a_line(tmp_path: Path, files: list[str]) -> None:
    with LocalCluster(  # type: ignore[no-untyped-call]  # Dask's
        n_workers=0, processes=False, dashboard_address=":0"
    ) as cluster:
        closed = Client(cluster)  # type: ignore[no-untyped-call]  # Dask's
        closed.close()  # type: ignore[no-untyped-call]  # Dask's
        query = make_query(files, ROLES, None, None)
        assert query
        with pytest.raises(SearchError, match="the client is closed"):
            ingest(query, tmp_path / "store", client=closed)
