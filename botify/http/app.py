"""The application of a service: its views, JSON for every answer and error, and a fast path around Flask's routing.

The fast path answers `POST /next/<user>` and `/last/<user>`: routing costs twice their work. A request that is not
plainly one of these goes to the views at the same paths, which call the same functions of `botify.http.playback`.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import flask
import orjson
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from botify.errors import ModelError
from botify.http import operations, playback
from botify.schemas import BodyError
from botify.service import LateError, Service

_STATUSES = {BodyError: 400, ModelError: 409, LateError: 503}
_PREFIX = len("/next/")
_LONGEST_NUMBER = 19

logger = logging.getLogger("botify")


class IdConverter(IntegerConverter):
    """An id in a path: decimal digits, and not more of them than an id has."""

    regex = "[0-9]{1,19}"


class JsonProvider(DefaultJSONProvider):
    """Writes what views return by orjson."""

    def response(self, *args: object, **_: object) -> flask.Response:
        """Return an answer with one body."""
        return flask.Response(orjson.dumps(args[0]), content_type="application/json")


class Application(flask.Flask):
    """A WSGI application with the fast path in front of Flask's."""

    json_provider_class = JsonProvider
    service: Service

    def wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH", "")
        answer, user = playback.ANSWERS.get(path[:_PREFIX]), path[_PREFIX:]
        if (
            answer is None
            or environ["REQUEST_METHOD"] != "POST"
            or not (_is_number(user) and _is_number(length))
            or int(length) > self.service.settings.body_limit_bytes
        ):
            return super().wsgi_app(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        try:
            if len(body) < int(length):
                raise BodyError("the body was cut off")
            text = answer(self.service, int(user), body)
        except Exception as error:  # noqa: BLE001  answered by the application's own handler
            with self.request_context(environ):
                return self.make_response(self.handle_user_exception(error))(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]


def create_app(service: Service) -> flask.Flask:
    """Make the application of a service."""
    app = Application("botify", static_folder=None)
    app.service = service
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_limit_bytes
    app.url_map.converters["int"] = IdConverter
    for make_blueprint in (playback.make_blueprint, operations.make_blueprint, operations.make_admin_blueprint):
        app.register_blueprint(make_blueprint(service))

    @app.errorhandler(Exception)
    def refuse(error: Exception) -> tuple[dict[str, str], int]:
        status, message = _explain(error)
        service.metrics.refusals.labels(str(status)).inc()
        return {"error": message}, status

    return app


def _is_number(text: str) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= _LONGEST_NUMBER


def _explain(error: Exception) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    match error:
        case BodyError() | ModelError() | LateError():
            return _STATUSES[type(error)], str(error)
        case OSError():
            logger.error("event log: %s", error)
            return 503, f"the event could not be written ({error.strerror or error}); ask again"
        case HTTPException():
            return error.code or 500, error.description or error.name
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
