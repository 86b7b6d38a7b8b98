"""A client of a service without its server."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import orjson
from werkzeug.test import Client

from botify.http.app import Application
from botify.http.messages import Request
from botify.service import Service


def wsgi_of(service: Service) -> Callable[..., Iterable[bytes]]:
    """The application of a service, as test clients for WSGI want it."""
    application = Application(service)

    def answer(
        environ: dict[str, Any], start_response: Callable[..., object]
    ) -> list[bytes]:
        headers = [
            (
                name.removeprefix("HTTP_").lower().replace("_", "-").encode(),
                str(value).encode("latin-1"),
            )
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        target = environ.get("REQUEST_URI") or environ["RAW_URI"]
        body = environ["wsgi.input"].read()
        found = application.answer(
            Request(environ["REQUEST_METHOD"], target.encode("latin-1"), headers, body)
        )
        lines = [
            line.split(": ", 1) for line in found.headers.decode("latin-1").splitlines()
        ]
        start_response(
            f"{found.status} {HTTPStatus(found.status).phrase}",
            [tuple(line) for line in lines],
        )
        return [found.body]

    return answer


def client_of(service: Service) -> Client:
    """A client that asks the application of a service."""
    return Client(wsgi_of(service))


def post(client: Client, path: str, body: object, status: int = 200) -> Any:  # noqa: ANN401  JSON
    answer = client.post(path, data=orjson.dumps(body))
    assert answer.status_code == status, answer.data
    return answer.json


def events(service: Service) -> list[dict[str, Any]]:
    """What a service has logged; it is closed."""
    service.close()
    files = sorted(service.settings.log_dir.glob("*.jsonl"))
    return [
        orjson.loads(line) for file in files for line in file.read_bytes().splitlines()
    ]
