"""The application of a service: Flask's routes, and a short way around them for `/next/<user>` and `/last/<user>`.

Both ways call the same views. All answers but pages are JSON, errors too.
"""

import hmac
import logging
import threading
import time
from http import HTTPStatus

import flask
import httptools
from werkzeug.exceptions import HTTPException
from werkzeug.routing import PathConverter

from botify.errors import ModelError
from botify.http.messages import Answer, RefusedError, Request, make_answer
from botify.http.views import VIEWS
from botify.schemas import BodyError
from botify.service import Service

_OPEN = (b"/health/", b"/admin/")  # asked without an API key
_PLAYBACK = (b"/next/", b"/last/")  # routing would cost twice the work of these

logger = logging.getLogger("botify")


class _IdConverter(PathConverter):
    """An id at the end of a path, which may hold a slash."""

    regex = ".+"


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
            self._left = min(
                max(1.0, self._rate), self._left + (now_s - self._at_s) * self._rate
            )
            self._at_s = now_s
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Application:
    """Answers requests that were read whole; safe for several threads, and never raises."""

    def __init__(self, service: Service) -> None:
        """Make the application of a service, with all its views."""
        self._service, self._flask = service, flask.Flask("botify", static_folder=None)
        self._flask.url_map.converters["id"] = _IdConverter
        self._flask.url_map.merge_slashes = False
        for path, (method, view) in VIEWS.items():
            rule = path.decode() + (
                "<id:id_>" if len(path) > 1 and path.endswith(b"/") else ""
            )
            self._flask.add_url_rule(
                rule, rule, view, methods=[method], provide_automatic_options=False
            )  # type: ignore[arg-type]  # Flask would answer with a response of its own
        self._routes = self._flask.url_map.bind("botify")
        clients = service.settings.api_keys.values()
        self._keys = [
            (client.key.get_secret_value().encode(), _Bucket(client.rate))
            for client in clients
        ]

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        try:
            if self._keys:
                self._check_key(request)
            path = request.target.partition(b"?")[0]
            first, user = path[: len(_PLAYBACK[0])], path[len(_PLAYBACK[0]) :]
            if first in _PLAYBACK and user and request.method == "POST":
                _, view = VIEWS[first]
                return make_answer(view(self._service, user, request.body))
            return self._answer_by_route(request)
        except Exception as error:  # noqa: BLE001  any error has an answer
            return self.refuse(error)

    def refuse(self, error: Exception) -> Answer:
        """Make the answer to a request that failed."""
        status, message = _explain(error)
        self._service.metrics.refusals.labels(str(status)).inc()
        answer = make_answer({"error": message}, status)
        if methods := getattr(error, "valid_methods", None):  # of 405
            return answer._replace(
                headers=b"allow: %b\r\n" % ", ".join(sorted(methods)).encode()
                + answer.headers
            )
        return answer

    def _answer_by_route(self, request: Request) -> Answer:
        """Find the view of a path, which is matched as it came: what is percent-encoded is an id's."""
        try:
            path = (httptools.parse_url(request.target).path or b"/").decode("latin-1")
        except httptools.HttpParserInvalidURLError:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the path is not one") from None
        rule, found = self._routes.match(path, request.method)
        if path.startswith("/admin/"):
            self._check_token(request)
        with self._flask.app_context():  # of templates
            view = self._flask.view_functions[rule]
            answer = make_answer(
                view(
                    self._service, found.get("id_", "").encode("latin-1"), request.body
                )
            )
        return answer._replace(body=b"") if request.method == "HEAD" else answer

    def _check_key(self, request: Request) -> None:
        """Refuse a request without a key, or of a client that asks too often; health checks and the token need none."""
        if request.target == b"/" or request.target.startswith(_OPEN):
            return
        sent = request.header(b"x-api-key")
        buckets = [
            bucket for key, bucket in self._keys if hmac.compare_digest(sent, key)
        ]
        if not buckets:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "send the header X-Api-Key: <a key of api_keys>",
            )
        if not buckets[-1].take():
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, "too many requests; ask again in a second"
            )

    def _check_token(self, request: Request) -> None:
        token = self._service.settings.admin_token
        if token is None:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "no admin_token is configured, so nobody may do this",
            )
        if not hmac.compare_digest(
            request.header(b"authorization"),
            f"Bearer {token.get_secret_value()}".encode(),
        ):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "send the header Authorization: Bearer <admin_token>",
            )


def _explain(error: Exception) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    match error:
        case RefusedError():
            return error.status, str(error)
        case BodyError():
            return 400, str(error)
        case ModelError():
            return 409, str(error)
        case OSError():
            return (
                503,
                f"the event could not be written ({error.strerror or error}); ask again",
            )
        case HTTPException():
            return error.code or 500, error.description or error.name
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
