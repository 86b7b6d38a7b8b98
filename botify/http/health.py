"""What operators ask: is it alive, is it ready, what does it count, which experiments run."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel

from botify.http.openapi import documented
from botify.schemas import ArmStatus, Experiments, ExperimentStatus, Status
from botify.service import Service


def make_blueprint(service: Service) -> Blueprint:
    """The blueprint of a service."""
    health = Blueprint("health", __name__)

    @health.get("/")
    @documented(answer=Status)
    def index() -> Response:
        """Says that the service is here."""
        return _answer(Status(status="alive", version=service.versions.model.version))

    @health.get("/health/live")
    @documented(answer=Status)
    def live() -> Response:
        """Whether the process answers."""
        return _answer(Status(status="alive"))

    @health.get("/health/ready")
    @documented(answer=Status, refusals=())
    def ready() -> Response:
        """Whether recommendations are loaded and the session store can be reached; 503 if not."""
        problems = [] if service.store.ready() else ["the session store cannot be reached"]
        status = Status(
            status="degraded" if problems else "ready", problems=problems, version=service.versions.model.version
        )
        return _answer(status, 503 if problems else 200)

    @health.get("/metrics")
    @documented()
    def metrics() -> Response:
        """Figures for Prometheus, in its text format."""
        return Response(service.metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    @health.get("/experiments")
    @documented(answer=Experiments)
    def experiments() -> Response:
        """The running experiments: arms, shares and recommenders, and which version is served."""
        return _answer(describe_experiments(service))

    return health


def describe_experiments(service: Service) -> Experiments:
    """What runs."""
    model = service.versions.model
    return Experiments(
        version=model.version,
        created_at=model.created_at.isoformat(),
        refused=service.versions.refused,
        experiments=[
            ExperimentStatus(
                name=experiment.name,
                decides=experiment.name == service.settings.decides,
                overrides=len(experiment.overrides),
                arms=[
                    ArmStatus(
                        name=arm.name,
                        share=experiment.shares[arm.name],
                        recommender=arm.recommender,
                    )
                    for arm in experiment.arms
                ],
            )
            for experiment in service.experiments
        ],
    )


def _answer(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status=status, content_type="application/json")
