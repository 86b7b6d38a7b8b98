"""The application of a service: finds the view of a request, and answers errors. All answers but pages are JSON."""

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
            path = _path_of(request.target)
            if self._keys and path != b"/" and not path.startswith(_OPEN):
                self._check_key(request)
            if path.startswith(b"/admin/"):
                self._check_token(request)
            return self._answer(path, request)
        except Exception as error:  # noqa: BLE001  any error has an answer
            return self.refuse(error)

    def refuse(self, error: Exception) -> Answer:
        """Make the answer to a request that failed."""
        status, message = _explain(error)
        self._service.metrics.refusals.labels(str(status)).inc()
        answer = make_answer(status, orjson.dumps({"error": message}))
        return answer._replace(headers=answer.headers + error.headers) if isinstance(error, RefusedError) else answer

    def _answer(self, path: bytes, request: Request) -> Answer:
        """Answer by the view of a path: its own, or that of paths which begin like it and end in an id."""
        prefix = path if path in VIEWS else path[: path.find(b"/", 1) + 1]
        if prefix not in VIEWS:
            raise RefusedError(HTTPStatus.NOT_FOUND, "address not found; /docs has all")
        method, view = VIEWS[prefix]
        is_head = request.method == "HEAD" and method == "GET"
        if request.method != method and not is_head:
            allowed = b"GET, HEAD" if method == "GET" else method.encode()
            message = f"{request.method} is not allowed here; {allowed.decode()} is"
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, message, b"allow: %b\r\n" % allowed)
        found = view(self._service, path[len(prefix) :], request.body)
        answer = found if isinstance(found, Answer) else make_answer(HTTPStatus.OK, orjson.dumps(found))
        return answer._replace(body=b"") if is_head else answer

    def _check_key(self, request: Request) -> None:
        """Refuse a request without a key, or of a client that asks too often."""
        sent = request.header(b"x-api-key")
        buckets = [bucket for key, bucket in self._keys if hmac.compare_digest(sent, key)]
        if not buckets:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header X-Api-Key: <a key of api_keys>")
        if not buckets[-1].take():
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; ask again in a second")

    def _check_token(self, request: Request) -> None:
        token = self._service.settings.admin_token
        if token is None:
            raise RefusedError(HTTPStatus.FORBIDDEN, "no admin_token is configured, so nobody may do this")
        if not hmac.compare_digest(request.header(b"authorization"), f"Bearer {token.get_secret_value()}".encode()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer <admin_token>")


def _path_of(target: bytes) -> bytes:
    """Return the path of a request's target, which a proxy's client may send as a whole URL."""
    if target.startswith(b"/"):
        return target.partition(b"?")[0]
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
