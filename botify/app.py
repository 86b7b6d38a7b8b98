"""The service as a Flask application: any WSGI server can run it."""

import atexit
import os
from pathlib import Path

import flask
from werkzeug.exceptions import BadRequest
from werkzeug.routing import PathConverter

from botify import limits
from botify.event_log import describe_log
from botify.model.model import ServedModel
from botify.service import Service, load_configured
from botify.settings import FILE_VARIABLE, ServiceSettings, load_settings
from botify.views import views
from looplib.config import dump_config
from looplib.files import atomic_write_text

EFFECTIVE_CONFIG = "botify.yaml"


def create_app(settings: ServiceSettings | None = None) -> flask.Flask:
    """Make the application of a configuration, ready to answer.

    Make it in the process that answers, not before a fork: it has threads, a connection to Redis
    and an open segment of the event log.

    Args:
        settings: Settings (default: the file BOTIFY_CONFIG and the `BOTIFY_…` variables).

    Raises:
        UserError: The service cannot start with these settings.
    """
    if settings is None:
        file = os.environ.get(FILE_VARIABLE)
        settings = load_settings(Path(file) if file else None, os.environ)
    service = Service(settings, prepare(settings))
    atexit.register(service.close)
    return make_app(service)


def prepare(settings: ServiceSettings) -> ServedModel:
    """Load the served model, and describe the event log in its folder.

    Raises:
        UserError: The catalogue or the recommendations cannot be used, or the folder has the log
            of others.
        OSError: The log's folder cannot be written.
    """
    model = load_configured(settings)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    describe_log(settings.log_dir, model.catalogue, text_users=model.text_users)
    atomic_write_text(settings.log_dir / EFFECTIVE_CONFIG, dump_config(settings))
    return model


def make_app(service: Service) -> flask.Flask:
    """Make the application of a service."""
    app = flask.Flask("botify", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.config["MAX_CONTENT_LENGTH"] = limits.BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # a slash may be an id's
    app.url_map.redirect_defaults = False
    app.url_map.converters["id"] = _IdConverter
    app.extensions["botify"] = service
    app.register_blueprint(views)
    return app


class _IdConverter(PathConverter):
    """An id at the end of a path, which may hold a slash."""

    regex = ".+"
    part_isolating = False

    def to_python(self, value: str) -> str:
        if "\ufffd" in value:  # stands for bytes that are not UTF-8
            raise BadRequest(f"{value[:100]} is not UTF-8")
        return value
