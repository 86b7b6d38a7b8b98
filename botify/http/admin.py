"""What administrators ask, with the token: serve the current version, or go back to the one before."""

import hmac
from collections.abc import Callable

import flask
from flask import Blueprint, Response, request

from botify.errors import ModelError
from botify.http.openapi import documented
from botify.model.model import Model
from botify.schemas import Version
from botify.service import Service

_REFUSALS = (401, 403, 409)
_SCHEME = "Bearer "


def make_blueprint(service: Service) -> Blueprint:
    """The blueprint of a service."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    token = service.settings.admin_token

    @admin.before_request
    def check_token() -> None:
        if token is None:
            flask.abort(403, "no admin_token is configured, so nobody may")
        sent = request.headers.get("Authorization", "")
        wanted = _SCHEME + token.get_secret_value()
        if not hmac.compare_digest(sent.encode(), wanted.encode()):
            flask.abort(401, "send the header Authorization: Bearer <admin_token>")

    @admin.post("/reload")
    @documented(answer=Version, refusals=_REFUSALS)
    def reload() -> Response:
        """Serves the current version of the recommendations; 409 with the reason if it is refused."""
        return _version(service.versions.reload)

    @admin.post("/rollback")
    @documented(answer=Version, refusals=_REFUSALS)
    def rollback() -> Response:
        """Goes back to the version exported before the one served, in all processes."""
        return _version(service.versions.roll_back)

    return admin


def _version(change: Callable[[], Model]) -> Response:
    try:
        model = change()
    except ModelError as error:
        flask.abort(409, str(error))
    return Response(Version(version=model.version).model_dump_json(), content_type="application/json")
