"""The application of a service: Flask's, and a short way around its routing for `/next/<user>` and `/last/<user>`.

Both ways call the same views. All answers but pages are JSON, errors too.
"""

import hmac
import io
import logging
import threading
import time
from functools import partial
from http import HTTPStatus
from urllib.parse import quote, unquote_to_bytes

import flask
import httptools
import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.routing import PathConverter
from werkzeug.test import run_wsgi_app

from botify.errors import ModelError
from botify.http.messages import Answer, RefusedError, Request, make_answer
from botify.http.views import VIEWS, View
from botify.schemas import BodyError
from botify.service import LateError, Service
from botify.sessions.answers import AnswersError

_OPEN = (b"/health/", b"/admin/")  # asked without an API key
_PLAYBACK = (b"/next/", b"/last/")  # routing would cost twice the work of these

logger = logging.getLogger("botify")


class IdConverter(PathConverter):
    """An id at the end of a path, which may hold a slash."""

    regex = ".+"


def create_app(service: Service) -> flask.Flask:
    """Make the Flask application of a service, with all its views."""
    app = flask.Flask("botify", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_limit_bytes
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False
    for path, (method, view) in VIEWS.items():
        rule = path.decode() + ("<id:id_>" if len(path) > 1 and path.endswith(b"/") else "")
        answer = partial(_view, service, view)
        app.add_url_rule(rule, rule, answer, methods=[method], provide_automatic_options=False)

    @app.before_request
    def check_token() -> None:
        if flask.request.path.startswith("/admin/"):
            _check_token(service, flask.request.headers.get("Authorization", ""))

    @app.errorhandler(Exception)
    def refuse(error: Exception) -> tuple[flask.Response, int, dict[str, str]]:
        status, message = _explain(error)
        service.metrics.refusals.labels(str(status)).inc()
        methods = getattr(error, "valid_methods", None) or ()  # of 405
        headers = {"Allow": ", ".join(sorted(methods))} if methods else {}
        return _json({"error": message}), status, headers

    return app


def _view(service: Service, view: View, id_: str = "") -> flask.Response:
    """Answer by a view, which reads an id as it stands in a path."""
    found = view(service, quote(id_).encode(), flask.request.get_data())
    return found if isinstance(found, flask.Response) else _json(found)


def _json(found: object) -> flask.Response:
    return flask.Response(orjson.dumps(found), content_type="application/json")


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
        try:
            if self._keys:
                self._check_key(request)
            path = request.target.partition(b"?")[0]
            first, user = path[: len(_PLAYBACK[0])], path[len(_PLAYBACK[0]) :]
            if first in _PLAYBACK and user and request.method == "POST":
                _, view = VIEWS[first]
                return make_answer(200, orjson.dumps(view(self._service, user, request.body)))
            return self._answer_by_flask(request)
        except Exception as error:  # noqa: BLE001  any error has an answer
            return self.refuse(error)

    def refuse(self, error: Exception) -> Answer:
        """Make the answer to a request that failed."""
        status, message = _explain(error)
        self._service.metrics.refusals.labels(str(status)).inc()
        return make_answer(status, orjson.dumps({"error": message}))

    def _check_key(self, request: Request) -> None:
        """Refuse a request without a key, or of a client that asks too often; health checks and the token need none."""
        if request.target == b"/" or request.target.startswith(_OPEN):
            return
        sent = next((value for name, value in request.headers if name == b"x-api-key"), b"")
        buckets = [bucket for key, bucket in self._keys if hmac.compare_digest(sent, key)]
        if not buckets:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header X-Api-Key: <a key of api_keys>")
        if not buckets[-1].take():
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; ask again in a second")

    def _answer_by_flask(self, request: Request) -> Answer:
        try:
            url = httptools.parse_url(request.target)
        except httptools.HttpParserInvalidURLError:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the path is not one") from None
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


def _check_token(service: Service, sent: str) -> None:
    token = service.settings.admin_token
    if token is None:
        raise RefusedError(HTTPStatus.FORBIDDEN, "no admin_token is configured, so nobody may do this")
    if not hmac.compare_digest(sent.encode(), f"Bearer {token.get_secret_value()}".encode()):
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer <admin_token>")


def _explain(error: Exception) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    match error:
        case RefusedError():
            return error.status, str(error)
        case BodyError():
            return 400, str(error)
        case ModelError():
            return 409, str(error)
        case LateError() | AnswersError():
            return 503, str(error)
        case OSError():
            return 503, f"the event could not be written ({error.strerror or error}); ask again"
        case HTTPException():
            return error.code or 500, error.description or error.name
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
