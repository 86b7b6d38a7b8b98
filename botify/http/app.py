"""The application of a service: who may ask, which view answers, and what an error becomes. All but pages is JSON."""

import hmac
import logging
import threading
import time
from http import HTTPStatus

import httptools
import orjson

from botify.errors import ModelError
from botify.http.messages import Answer, RefusedError, Request, make_answer
from botify.http.views import VIEWS
from botify.schemas import BodyError
from botify.service import LateError, Service
from botify.sessions.answers import AnswersError

_OPEN = (b"/health/", b"/admin/")  # asked without an API key

logger = logging.getLogger("botify")


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
        self._service = service
        clients = service.settings.api_keys.values()
        self._keys = [(client.key.get_secret_value().encode(), _Bucket(client.rate)) for client in clients]

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        try:
            answer = self._answer(request)
        except Exception as error:  # noqa: BLE001  any error has an answer
            answer = self.refuse(error)
        return answer._replace(body=b"") if request.method == "HEAD" else answer

    def refuse(self, error: Exception) -> Answer:
        """Make the answer to a request that failed."""
        status, message = _explain(error)
        self._service.metrics.refusals.labels(str(status)).inc()
        headers = error.headers if isinstance(error, RefusedError) else b""
        return make_answer(status, orjson.dumps({"error": message}), headers=headers)

    def _answer(self, request: Request) -> Answer:
        path = request.target.partition(b"?")[0]
        if not path.startswith(b"/"):
            path = _path_of_url(path)
        if self._keys:
            self._check_key(path, request)
        first = path[: path.find(b"/", 1) + 1]  # empty where there is no second slash
        method, view = VIEWS.get(first) or VIEWS.get(path) or (None, None)
        if view is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "path not found; /docs has those that are")
        if method != request.method and (method, request.method) != ("GET", "HEAD"):
            message = f"{request.method} is not allowed here, {method} is"
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, message, f"allow: {method}\r\n".encode())
        if first == b"/admin/":
            self._check_token(request)
        found = view(self._service, path[len(first) :], request.body)
        return found if isinstance(found, Answer) else make_answer(200, orjson.dumps(found))

    def _check_key(self, path: bytes, request: Request) -> None:
        """Refuse a request without a key, or of a client that asks too often; health checks and the token need none."""
        if path == b"/" or path.startswith(_OPEN):
            return
        sent = _header(request, b"x-api-key")
        buckets = [bucket for key, bucket in self._keys if hmac.compare_digest(sent, key)]
        if not buckets:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header X-Api-Key: <a key of api_keys>")
        if not buckets[-1].take():
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; ask again in a second")

    def _check_token(self, request: Request) -> None:
        token = self._service.settings.admin_token
        if token is None:
            raise RefusedError(HTTPStatus.FORBIDDEN, "no admin_token is configured, so nobody may do this")
        if not hmac.compare_digest(_header(request, b"authorization"), b"Bearer " + token.get_secret_value().encode()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer <admin_token>")


def _header(request: Request, wanted: bytes) -> bytes:
    return next((value for name, value in request.headers if name == wanted), b"")


def _path_of_url(target: bytes) -> bytes:
    """Return the path of a whole URL, as proxies send it."""
    try:
        return httptools.parse_url(target).path or b"/"
    except httptools.HttpParserInvalidURLError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the path is not one") from None


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
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
