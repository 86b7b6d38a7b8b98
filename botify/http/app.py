"""The Flask application: the views of a service, and JSON for every error."""

import logging

import flask
import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from botify.http import admin, assignments, health
from botify.http import playback as api
from botify.http.fast_path import Shortcut
from botify.http.openapi import add_document
from botify.schemas import BodyError
from botify.service import LateError, Service

logger = logging.getLogger("botify")


class IdConverter(IntegerConverter):
    """An id in a path: decimal digits, and not more of them than an id has."""

    regex = "[0-9]{1,19}"


def create_app(service: Service) -> flask.Flask:
    """Makes the application of a service."""
    app = flask.Flask("botify", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_limit_bytes
    app.url_map.converters["int"] = IdConverter
    app.register_blueprint(api.make_blueprint(service))
    app.register_blueprint(health.make_blueprint(service))
    app.register_blueprint(assignments.make_blueprint(service))
    app.register_blueprint(admin.make_blueprint(service))
    add_document(app)
    _handle_errors(app, service)
    app.wsgi_app = Shortcut(app, service)  # type: ignore[method-assign]  # Flask's own way to put one in front
    return app


def _handle_errors(app: flask.Flask, service: Service) -> None:
    """Gives every refusal a status and a message, in JSON."""

    def refuse(status: int, message: str) -> flask.Response:
        service.metrics.refusals.labels(str(status)).inc()
        return flask.Response(orjson.dumps({"error": message}), status=status, mimetype="application/json")

    @app.errorhandler(BodyError)
    def wrong_body(error: BodyError) -> flask.Response:
        return refuse(400, str(error))

    @app.errorhandler(OSError)
    def unwritten_event(error: OSError) -> flask.Response:
        logger.error("event log: %s", error)
        return refuse(503, f"the event could not be written ({error.strerror or error}); ask again")

    @app.errorhandler(LateError)
    def late(error: LateError) -> flask.Response:
        return refuse(503, str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> flask.Response:
        return refuse(error.code or 500, error.description or error.name)

    @app.errorhandler(Exception)
    def fault(error: Exception) -> flask.Response:
        logger.exception("a fault of ours", exc_info=error)
        return refuse(500, "a fault of ours; it is in the service's log")
