"""The service meets the others in files.

It loads what the export publishes, and what it logs ingests.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from analysis.logs.lines import LineCounts
from botify.event_log import describe_log
from botify.model.catalogue import load_catalogue
from looplib.cli import run
from looplib.files import sha256_file
from recsys.errors import IngestError
from recsys.ingest.pipeline import ingest
from recsys.search import __main__ as search
from recsys.store.reader import open_store
from tests.botify.client import client_of, post
from tests.botify.conftest import start_service
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_sessions, write_log

TRACKS, LISTENERS = 80, 30


def catalogue_of(folder: Path) -> Path:
    artists = [track // 4 for track in range(TRACKS)]
    return write_catalogue(folder / "tracks.json", artists)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a catalogue, and a version by a search and an export of a log."""
    folder = tmp_path_factory.mktemp("exported")
    catalogue = catalogue_of(folder)
    sessions = random_sessions(5, listeners=LISTENERS, tracks=TRACKS, sessions=400)
    log = write_log(folder / "log" / "events.jsonl", sessions)
    facts = {"sha256": sha256_file(catalogue), "tracks": TRACKS}
    collection = orjson.dumps({"schema": 1, "catalogue": facts})
    (log.parent / "collection.json").write_bytes(collection)
    ingest([log], folder / "store", partitions=2)
    (folder / "search.yaml").write_text(
        f"store: {folder / 'store'}\nrun: {folder / 'run'}\ncatalogue: {catalogue}\n"
        "models: {als: {factors: 4}}\nsearch: {iterations: 2}\nvalidation: {resamples: 100}\n"
        "export: {publish_anyway: true}\n"
    )
    argv = ["--config", str(folder / "search.yaml"), "--out", str(folder)]
    with without_processes():
        assert run(search.app, search.PROG, argv) == 0
    return folder


def read_log(log: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for file in log.glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    ]


@pytest.mark.parametrize(
    "recommender",
    ["indexed", "repeat", "new", "contextual", "session_als"],
)
def test_what_the_export_publishes_is_served(
    exported: Path, tmp_path: Path, recommender: str
) -> None:
    service = start_service(
        exported,
        exported / "tracks.json",
        recommender=recommender,
        log_dir=str(tmp_path),
    )
    model = service.versions.model
    lines = (exported / "current" / "recommendations.jsonl").read_bytes().splitlines()
    lists = {record["user"]: record["tracks"] for record in map(orjson.loads, lines)}
    assert len(lists) == LISTENERS
    for user, tracks in lists.items():
        assert model.recommendations.list_of(user) == tracks
    asked = [{"user": user, "track": user, "time": 1} for user in range(LISTENERS)]
    answers = post(client_of(service), "/next", {"requests": asked})["responses"]
    service.close()
    events = read_log(tmp_path)
    recommended = [event["recommendation"] for event in events]
    assert recommended == [answer["track"] for answer in answers]
    assert {event["recommender"] for event in events} == {recommender}


def test_what_the_service_logs_ingests_without_a_reject(tmp_path: Path) -> None:
    catalogue, lists = catalogue_of(tmp_path), random_lists(LISTENERS, TRACKS)
    publish(tmp_path, "one", lists, catalogue=catalogue)
    service = start_service(tmp_path, catalogue, event_log={"segment_bytes": 3000})
    client = client_of(service)
    users = (*range(10), LISTENERS + 5, 2**63 - 1)
    for user in users:
        for track in range(4):
            post(client, f"/next/{user}", {"track": track, "time": track / 3})
        post(client, f"/last/{user}", {"track": 7, "time": 0.0})
    many = [{"user": user, "track": 5, "time": 0.123456789} for user in range(25)]
    post(client, "/next", {"requests": many})
    service.close()
    assert len(list((tmp_path / "log").glob("*.jsonl"))) > 1
    report = ingest([tmp_path / "log"], tmp_path / "store", partitions=2)
    sent = 5 * len(users) + len(many)
    assert report.lines == LineCounts(read=sent, good=sent)
    assert report.store.manifest.events == sent


def test_a_store_refuses_the_logs_of_two_catalogues(tmp_path: Path) -> None:
    for name, artists in (("one", [0, 1, 2]), ("other", [0, 1, 1])):
        catalogue = write_catalogue(tmp_path / name / "tracks.json", artists)
        publish(tmp_path / name, "first", {0: [1, 2]}, catalogue=catalogue)
        service = start_service(tmp_path / name, catalogue)
        describe_log(service.settings.log_dir, load_catalogue(catalogue))
        post(client_of(service), "/next/0", {"track": 0, "time": 1})
        service.close()
    ingest([tmp_path / "one" / "log"], tmp_path / "store", partitions=2)
    described = open_store(tmp_path / "store").manifest.catalogue
    assert described is not None
    assert described.sha256 == sha256_file(tmp_path / "one" / "tracks.json")
    with pytest.raises(IngestError, match="two worlds"):
        ingest([tmp_path / "other" / "log"], tmp_path / "store")
