"""The Flask application: the views of a service, and JSON for every error."""

import logging

import flask
import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from botify.http import admin, health, playback
from botify.http.fast_path import FastPath
from botify.schemas import BodyError
from botify.service import LateError, Service

logger = logging.getLogger("botify")


class IdConverter(IntegerConverter):
    """An id in a path: decimal digits, and not more of them than an id has."""

    regex = "[0-9]{1,19}"


def create_app(service: Service) -> flask.Flask:
    """Make the application of a service."""
    app = flask.Flask("botify", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_limit_bytes
    app.url_map.converters["int"] = IdConverter
    for views in (playback, health, admin):
        app.register_blueprint(views.make_blueprint(service))
    _handle_errors(app, service)
    app.wsgi_app = FastPath(app, service)  # type: ignore[method-assign]  # Flask's own way to put one in front
    return app


def _handle_errors(app: flask.Flask, service: Service) -> None:
    """Give every refusal a status and a message, in JSON."""

    @app.errorhandler(Exception)
    def refuse(error: Exception) -> flask.Response:
        status, message = _explain(error)
        service.metrics.refusals.labels(str(status)).inc()
        return flask.Response(orjson.dumps({"error": message}), status=status, mimetype="application/json")


def _explain(error: Exception) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    match error:
        case BodyError():
            return 400, str(error)
        case LateError():
            return 503, str(error)
        case OSError():
            logger.error("event log: %s", error)
            return 503, f"the event could not be written ({error.strerror or error}); ask again"
        case HTTPException():
            return error.code or 500, error.description or error.name
    logger.exception("unexpected error", exc_info=error)
    return 500, "unexpected error; the details are in the service's log"
