"""Endpoints of operators: the API's description, liveness, readiness, metrics, running experiments."""

from pathlib import Path
from typing import Any

import flask
import orjson
import yaml
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from botify.service import Service

_DOCUMENT = Path(__file__).with_name("openapi.yaml")


def make_blueprint(service: Service) -> Blueprint:
    """Make the blueprint of a service."""
    health = Blueprint("health", __name__)
    document = yaml.safe_load(_DOCUMENT.read_bytes())

    @health.get("/openapi.json")
    def openapi_document() -> Response:
        return _json(document)

    @health.get("/docs")
    def docs() -> str:
        return flask.render_template("docs.html", title=document["info"]["title"], **document)

    @health.get("/")
    def index() -> Response:
        return _json(_status("alive"))

    @health.get("/health/live")
    def live() -> Response:
        return _json(_status("alive"))

    @health.get("/health/ready")
    def ready() -> Response:
        if service.store.ready():
            return _json(_status("ready"))
        return _json(_status("degraded", "the session store cannot be reached"), 503)

    @health.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    @health.get("/experiments")
    def experiments() -> Response:
        return _json(describe_experiments(service))

    def _status(status: str, *problems: str) -> dict[str, Any]:
        return {"status": status, "problems": problems, "version": service.versions.model.version}

    return health


def describe_experiments(service: Service) -> dict[str, Any]:
    """List the running experiments, the version served, and why the current one was refused, if it was."""
    running = [
        {
            "name": experiment.name,
            "decides": experiment.name == service.settings.decides,
            "overrides": len(experiment.overrides),
            "arms": [
                {"name": arm.name, "share": experiment.shares[arm.name], "recommender": arm.recommender}
                for arm in experiment.arms
            ],
        }
        for experiment in service.settings.experiments
    ]
    model = service.versions.model
    return {
        "version": model.version,
        "created_at": model.created_at.isoformat(),
        "refused": service.versions.refused,
        "experiments": running,
    }


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status=status, content_type="application/json")
