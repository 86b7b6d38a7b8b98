"""The service meets the others in files.

It loads what the export publishes, and what it logs ingests.
"""

from pathlib import Path

import orjson
import pytest

from botify.event_log import describe_log
from botify.model.catalogue import load_catalogue
from botify.service import load_configured
from looplib.cli import run
from looplib.files import sha256_file
from recsys.errors import IngestError
from recsys.export import __main__ as export
from recsys.ingest.pipeline import ingest
from recsys.search import __main__ as search
from recsys.store.remote import open_store
from tests.botify.client import client_of
from tests.botify.conftest import start_service
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_sessions, write_log

TRACKS, LISTENERS = 80, 30


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a catalogue, and versions by a search and an export of a log."""
    folder = tmp_path_factory.mktemp("exported")
    catalogue = write_catalogue(
        folder / "tracks.json", [track // 4 for track in range(TRACKS)]
    )
    log = write_log(
        folder / "log" / "events.jsonl",
        random_sessions(5, listeners=LISTENERS, tracks=TRACKS, sessions=400),
    )
    facts = {
        "schema": 1,
        "catalogue": {"sha256": sha256_file(catalogue), "tracks": TRACKS},
    }
    (log.parent / "collection.json").write_bytes(orjson.dumps(facts))
    ingest([log], folder / "store", buckets=2)
    (folder / "search.yaml").write_text(
        f"store: {folder / 'store'}\nrun: {folder / 'run'}\ncatalogue: {catalogue}\n"
    )
    argv = ["--config", str(folder / "search.yaml"), "--no-export"]
    for setting in (
        "models.als.factors=[4]",
        "search.iterations=2",
        "validation.resamples=100",
    ):
        argv += ["--set", setting]
    with without_processes():
        assert run(search.app, search.PROG, argv) == 0
        argv = ["--run", str(folder / "run"), "--out", str(folder)]
        argv += ["--set", "export.publish_anyway=true"]
        assert run(export.app, export.PROG, argv) == 0
    return folder


@pytest.mark.parametrize(
    "recommender",
    ["indexed", "again", "discover", "contextual", "session_als"],
)
def test_what_the_export_publishes_is_served(
    exported: Path, tmp_path: Path, recommender: str
) -> None:
    settings = make_settings(
        exported, exported / "tracks.json", recommender, log_dir=str(tmp_path)
    )
    model = load_configured(settings)
    lines = (exported / "current" / "recommendations.jsonl").read_bytes().splitlines()
    assert len(lines) == LISTENERS
    for line in lines:
        record = orjson.loads(line)
        assert model.recommendations.list_of(record["user"]) == record["tracks"]
    service = start_service(
        exported,
        exported / "tracks.json",
        recommender=recommender,
        log_dir=str(tmp_path),
    )
    client = client_of(service)
    asked = client.post(
        "/next",
        json={
            "requests": [{"user": u, "track": u, "time": 1} for u in range(LISTENERS)]
        },
    )
    service.close()
    (log,) = tmp_path.glob("*.jsonl")
    events = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert [event["recommendation"] for event in events] == [
        answer["track"] for answer in asked.get_json()["responses"]
    ]
    assert {event["recommender"] for event in events} == {recommender}


def test_what_the_service_logs_ingests_without_a_reject(tmp_path: Path) -> None:
    catalogue = write_catalogue(
        tmp_path / "tracks.json", [track // 4 for track in range(TRACKS)]
    )
    publish(tmp_path, "one", random_lists(LISTENERS, TRACKS), catalogue=catalogue)
    service = start_service(tmp_path, catalogue, event_log={"segment_bytes": 3000})
    client = client_of(service)
    sent = 0
    for user in (*range(10), LISTENERS + 5, 2**63 - 1):
        for track in range(4):
            assert (
                client.post(
                    f"/next/{user}", json={"track": track, "time": track / 3}
                ).status_code
                == 200
            )
        assert (
            client.post(f"/last/{user}", json={"track": 7, "time": 0.0}).status_code
            == 200
        )
        sent += 5
    requests = [{"user": user, "track": 5, "time": 0.123456789} for user in range(25)]
    assert client.post("/next", json={"requests": requests}).status_code == 200
    sent += 25
    service.close()
    assert len(list((tmp_path / "log").glob("*.jsonl"))) > 1
    report = ingest([tmp_path / "log"], tmp_path / "store", buckets=2)
    assert (report.lines.read, report.lines.good, report.lines.rejected) == (
        sent,
        sent,
        0,
    )
    assert open_store(tmp_path / "store").manifest.events == sent


def test_a_store_refuses_the_logs_of_two_catalogues(tmp_path: Path) -> None:
    for name, artists in (("one", [0, 1, 2]), ("other", [0, 1, 1])):
        catalogue = write_catalogue(tmp_path / name / "tracks.json", artists)
        publish(tmp_path / name, "first", {0: [1, 2]}, catalogue=catalogue)
        service = start_service(tmp_path / name, catalogue)
        describe_log(service.settings.log_dir, load_catalogue(catalogue))
        assert (
            client_of(service).post("/next/0", json={"track": 0, "time": 1}).status_code
            == 200
        )
        service.close()
    ingest([tmp_path / "one" / "log"], tmp_path / "store", buckets=2)
    known = open_store(tmp_path / "store").manifest.catalogue
    assert known is not None
    assert (known.sha256, known.tracks) == (
        sha256_file(tmp_path / "one" / "tracks.json"),
        3,
    )
    with pytest.raises(IngestError, match="two worlds"):
        ingest([tmp_path / "other" / "log"], tmp_path / "store")
