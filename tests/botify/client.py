"""A client of a service without its server."""

from pathlib import Path
from typing import Any

import orjson
from flask.testing import FlaskClient

from botify.app import make_app
from botify.schemas import Listening
from botify.service import Service


def client_of(service: Service) -> FlaskClient:
    """Make a client that asks the application of a service."""
    return make_app(service).test_client()


def listening(user: int, track: int, time: float) -> Listening:
    """Make a request of ids that are numbers."""
    logged = {"user": user, "track": track, "time": time}
    return Listening(user, track, time, logged=logged)


def post(client: FlaskClient, path: str, body: object, status: int = 200) -> Any:  # noqa: ANN401  JSON
    answer = client.post(path, data=orjson.dumps(body))
    assert answer.status_code == status, answer.data
    return answer.json


def events(service: Service) -> list[dict[str, Any]]:
    """Close a service, and return what it has logged."""
    service.close()
    return read_lines(*sorted(service.settings.log_dir.glob("*.jsonl")))


def read_lines(*files: Path) -> list[dict[str, Any]]:
    """Parse the lines of files."""
    return [
        orjson.loads(line) for file in files for line in file.read_bytes().splitlines()
    ]
