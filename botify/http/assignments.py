"""What experimenters ask: which arms listeners are in. Asking is no event, and nothing is logged."""

import orjson
from flask import Blueprint, Response

from botify.http.openapi import documented
from botify.http.playback import whole_body
from botify.schemas import AskedListeners, AssignedArms, read_users
from botify.service import Service

_REFUSALS = (400, 413)


def make_blueprint(service: Service) -> Blueprint:
    """The blueprint of a service."""
    assignments = Blueprint("assignments", __name__)
    limit = service.settings.batch_limit

    @assignments.post("/assignments")
    @documented(body=AskedListeners, answer=AssignedArms, refusals=_REFUSALS)
    def assigned_arms() -> Response:
        """The arm of each listener in every running experiment."""
        users = read_users(whole_body(), limit)
        arms = zip(users, service.arms_of(users), strict=True)
        answer = orjson.dumps(
            {"assignments": [{"user": user, "experiments": experiments} for user, experiments in arms]}
        )
        return Response(answer, content_type="application/json")

    return assignments
