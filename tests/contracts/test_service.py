"""The service loads what the export publishes."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from looplib.files import sha256_file
from recsys.config import ExportConfig
from recsys.export.export import export_run
from recsys.ingest.pipeline import ingest
from tests.botify.client import client_of, post
from tests.botify.conftest import start_service
from tests.botify.exports import write_catalogue
from tests.recsys.finished import finish_run
from tests.recsys.logs import random_sessions, write_log

TRACKS, LISTENERS = 80, 30


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a catalogue, and an export of a model of a log."""
    folder = tmp_path_factory.mktemp("exported")
    artists = [track // 4 for track in range(TRACKS)]
    catalogue = write_catalogue(folder / "tracks.json", artists)
    sessions = random_sessions(5, listeners=LISTENERS, tracks=TRACKS, sessions=400)
    log = write_log(folder / "log" / "events.jsonl", sessions)
    facts = {"sha256": sha256_file(catalogue), "tracks": TRACKS}
    collection = orjson.dumps({"schema": 1, "catalogue": facts})
    (log.parent / "collection.json").write_bytes(collection)
    ingest([log], folder / "store", partitions=2)
    export_run(finish_run(folder, catalogue=str(catalogue)), folder, ExportConfig())
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
