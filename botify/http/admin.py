"""Endpoints of administrators, who have the token: serve the current version, or go back to the one before."""

import hmac
from collections.abc import Callable

import flask
import orjson
from flask import Blueprint, Response, request

from botify.errors import ModelError
from botify.model.model import Model
from botify.service import Service

_SCHEME = "Bearer "


def make_blueprint(service: Service) -> Blueprint:
    """Make the blueprint of a service."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    token = service.settings.admin_token

    @admin.before_request
    def check_token() -> None:
        if token is None:
            flask.abort(403, "no admin_token is configured, so nobody may do this")
        sent = request.headers.get("Authorization", "")
        wanted = _SCHEME + token.get_secret_value()
        if not hmac.compare_digest(sent.encode(), wanted.encode()):
            flask.abort(401, "send the header Authorization: Bearer <admin_token>")

    @admin.post("/reload")
    def reload() -> Response:
        return _answer(service.versions.reload)

    @admin.post("/rollback")
    def rollback() -> Response:
        return _answer(service.versions.roll_back)

    return admin


def _answer(change: Callable[[], Model]) -> Response:
    try:
        model = change()
    except ModelError as error:
        flask.abort(409, str(error))
    return Response(orjson.dumps({"version": model.version}), content_type="application/json")
