"""The application of a service: Flask's views, JSON for every answer and error, and a fast path around Flask.

The fast path answers `POST /next/<user>` and `/last/<user>`: routing costs twice their work. Requests to other paths
go to the views. Both call the same functions of `botify.http.playback`.
"""

import hmac
import io
import logging
import threading
import time
from urllib.parse import unquote_to_bytes

import flask
import httptools
import orjson
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter, PathConverter
from werkzeug.test import run_wsgi_app

from botify.errors import ModelError
from botify.http import operations, playback
from botify.http.connection import Answer, Request
from botify.schemas import BodyError
from botify.service import LateError, Service
from botify.sessions.answers import AnswersError

_STATUSES = {BodyError: 400, ModelError: 409, LateError: 503, AnswersError: 503}
_PREFIX = len("/next/")
_OPEN = (b"/health/", b"/admin/")  # asked without an API key

logger = logging.getLogger("botify")


class NumberConverter(IntegerConverter):
    """An id in a path that is a number: decimal digits, and not more of them than an id has."""

    regex = "[0-9]{1,19}"


class TextConverter(PathConverter):
    """An id in a path that is text, and may hold a slash."""

    regex = ".+"


class JsonProvider(DefaultJSONProvider):
    """Writes what views return by orjson."""

    def response(self, *args: object, **_: object) -> flask.Response:
        """Return an answer with one body."""
        return flask.Response(orjson.dumps(args[0]), content_type="application/json")


class Flask(flask.Flask):
    """Flask with our JSON."""

    json_provider_class = JsonProvider


def create_app(service: Service) -> flask.Flask:
    """Make the views of a service."""
    app = Flask("botify", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_limit_bytes
    kinds = {"user": service.bodies.text_users, "track": service.bodies.catalogue.is_text}
    for name, is_text in kinds.items():
        app.url_map.converters[name] = TextConverter if is_text else NumberConverter
    app.url_map.merge_slashes = False
    for make_blueprint in (playback.make_blueprint, operations.make_blueprint, operations.make_admin_blueprint):
        app.register_blueprint(make_blueprint(service))

    @app.errorhandler(Exception)
    def refuse(error: Exception) -> tuple[dict[str, str], int, dict[str, str]]:
        status, message = _explain(error)
        service.metrics.refusals.labels(str(status)).inc()
        methods = getattr(error, "valid_methods", None) or ()  # of 405
        return {"error": message}, status, {"Allow": ", ".join(sorted(methods))} if methods else {}

    return app


class _Bucket:
    """Lets a client ask so many times a second, and after a silence as many at once; safe for several threads."""

    def __init__(self, rate: float | None) -> None:
        self._rate, self._left, self._at_s = rate, rate or 0.0, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        if self._rate is None:
            return True
        with self._lock:
            now_s = time.monotonic()
            self._left = min(max(1.0, self._rate), self._left + (now_s - self._at_s) * self._rate)
            self._at_s = now_s
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Application:
    """Answers requests that were read whole; safe for several threads, and never raises."""

    def __init__(self, service: Service) -> None:
        """Make the application of a service."""
        self._service, self._flask = service, create_app(service)
        clients = service.settings.api_keys.values()
        self._keys = [(client.key.get_secret_value().encode(), _Bucket(client.rate)) for client in clients]

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        refusal = self._keys and self._check_key(request)
        if refusal:
            return refusal
        answer = playback.ANSWERS.get(request.target[:_PREFIX])
        try:
            user = self._service.bodies.user(request.target[_PREFIX:]) if answer and request.method == "POST" else None
            if answer and user is not None:
                return _json(200, answer(self._service, user, request.body))
            return self._answer_by_flask(request)
        except Exception as error:  # noqa: BLE001  any error has an answer
            return self.refuse(*_explain(error))

    def refuse(self, status: int, message: str) -> Answer:
        """Make the answer to a request that is refused."""
        self._service.metrics.refusals.labels(str(status)).inc()
        return _json(status, orjson.dumps({"error": message}))

    def _check_key(self, request: Request) -> Answer | None:
        """Refuse a request without a key, or of a client that asks too often; health checks and the token need none."""
        if request.target.startswith(_OPEN) or request.target == b"/":
            return None
        sent = next((value for name, value in request.headers if name == b"x-api-key"), b"")
        bucket = None
        for key, its_bucket in self._keys:
            if hmac.compare_digest(sent, key):
                bucket = its_bucket
        if bucket is None:
            return self.refuse(401, "send the header X-Api-Key: <a key of api_keys>")
        return None if bucket.take() else self.refuse(429, "too many requests; ask again in a second")

    def _answer_by_flask(self, request: Request) -> Answer:
        try:
            url = httptools.parse_url(request.target)
        except httptools.HttpParserInvalidURLError:
            return self.refuse(400, "the path is not one")
        environ = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(url.path or b"/").decode("latin-1"),
            "QUERY_STRING": (url.query or b"").decode("latin-1"),
            "SERVER_NAME": "botify",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
        }
        for name, value in request.headers:
            if name not in {b"content-length", b"transfer-encoding"}:
                environ["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
        parts, status, headers = run_wsgi_app(self._flask, environ, buffered=True)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return Answer(int(status.split()[0]), lines.encode("latin-1"), b"".join(parts))


def _json(status: int, body: bytes) -> Answer:
    return Answer(status, b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body)


def _explain(error: Exception) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    match error:
        case BodyError() | ModelError() | LateError() | AnswersError():
            return _STATUSES[type(error)], str(error)
        case OSError():
            return 503, f"the event could not be written ({error.strerror or error}); ask again"
        case HTTPException():
            return error.code or 500, error.description or error.name
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
