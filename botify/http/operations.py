"""Endpoints of operators: the API's description, health, metrics, experiments, and which version is served."""

import hmac
from pathlib import Path
from typing import Any

import flask
import yaml
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from botify.experiments import Experiment
from botify.service import Service

_DOCUMENT = Path(__file__).with_name("openapi.yaml")
Answer = dict[str, Any]


def make_blueprint(service: Service) -> Blueprint:
    """Make the blueprint of a service."""
    operations = Blueprint("operations", __name__)
    document = _read_document(service)
    running = [_describe(experiment, service.settings.decides) for experiment in service.settings.experiments]

    @operations.get("/openapi.json")
    def openapi_document() -> Answer:
        return document

    @operations.get("/docs")
    def docs() -> str:
        return flask.render_template("docs.html", title=document["info"]["title"], **document)

    @operations.get("/")
    @operations.get("/health/live")
    def live() -> Answer:
        return _status("alive")

    @operations.get("/health/ready")
    def ready() -> Answer | tuple[Answer, int]:
        problems = service.problems()
        return (_status("degraded", *problems), 503) if problems else _status("ready")

    @operations.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    @operations.get("/experiments")
    def experiments() -> Answer:
        model = service.versions.model
        return {
            "version": model.version,
            "created_at": model.created_at.isoformat(),
            "refused": service.versions.refused,
            "experiments": running,
        }

    def _status(status: str, *problems: str) -> Answer:
        return {"status": status, "problems": problems, "version": service.versions.model.version}

    return operations


def _read_document(service: Service) -> dict[str, Any]:
    """Read the OpenAPI document, with the kinds of ids that the service has."""
    document: dict[str, Any] = yaml.safe_load(_DOCUMENT.read_bytes())
    for name, is_text in (("UserId", service.bodies.text_users), ("TrackId", service.bodies.catalogue.is_text)):
        if is_text:
            document["components"]["schemas"][name] |= {"type": "string", "minLength": 1}
    return document


def _describe(experiment: Experiment, decides: str) -> Answer:
    arms = [
        {"name": arm.name, "share": experiment.shares[arm.name], "recommender": arm.recommender}
        for arm in experiment.arms
    ]
    return {
        "name": experiment.name,
        "decides": experiment.name == decides,
        "overrides": len(experiment.overrides),
        "arms": arms,
    }


def make_admin_blueprint(service: Service) -> Blueprint:
    """Make the blueprint of the endpoints that need the admin token."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    token = service.settings.admin_token

    @admin.before_request
    def check_token() -> None:
        if token is None:
            flask.abort(403, "no admin_token is configured, so nobody may do this")
        sent = flask.request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(), f"Bearer {token.get_secret_value()}".encode()):
            flask.abort(401, "send the header Authorization: Bearer <admin_token>")

    @admin.post("/reload")
    def reload() -> Answer:
        return {"version": service.versions.reload().version}

    @admin.post("/rollback")
    def rollback() -> Answer:
        version = service.bodies.version(flask.request.get_data())
        return {"version": service.versions.roll_back(version).version}

    return admin
