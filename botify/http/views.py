"""A view for every address: players ask for tracks and end sessions, operators ask for the rest.

Each takes the service, the id at the end of the path as it came, and the body. It returns what
becomes JSON, or an `Answer`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import flask
import orjson
import yaml
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from botify.event_log import Message
from botify.http.messages import RefusedError, make_answer
from botify.model.catalogue import Id
from botify.schemas import BodyError
from botify.service import Service

_DOCUMENT = Path(__file__).with_name("openapi.yaml")

View = Callable[[Service, bytes, bytes], object]


def _playback(message: Message, service: Service, text: bytes, body: bytes) -> object:
    listener = service.bodies.user(_decode(text))
    (track,) = service.answer(message, [service.bodies.one(body, listener)])
    return _told(listener, track)


def _playback_of_many(
    message: Message, service: Service, _: bytes, body: bytes
) -> object:
    requests = service.bodies.many(body)
    tracks = service.answer(message, requests)
    return {
        "responses": [
            _told(request.user, track)
            for request, track in zip(requests, tracks, strict=True)
        ]
    }


def _told(user: Id, track: Id | None) -> dict[str, Id]:
    return {"user": user} if track is None else {"user": user, "track": track}


def _decode(text: bytes) -> str:
    """Decode an id in a path, where % stands before bytes in hex."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BodyError(f"{text[:100].decode('latin-1')} is not UTF-8") from None


def _assigned_arms(service: Service, _: bytes, body: bytes) -> object:
    users = service.bodies.users(body)
    found = zip(users, service.arms_of(users), strict=True)
    return {
        "assignments": [{"user": user, "experiments": arms} for user, arms in found]
    }


def _track_record(service: Service, track: bytes, _: bytes) -> object:
    number = service.bodies.track(_decode(track))
    if number is None:
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            f"track not found; the catalogue has {len(service.bodies.catalogue):,}",
        )
    return orjson.Fragment(service.bodies.catalogue.record(number))


def _status(service: Service, status: str, *problems: str) -> dict[str, Any]:
    return {
        "status": status,
        "problems": problems,
        "version": service.versions.model.version,
    }


def _live(service: Service, *_: bytes) -> object:
    return _status(service, "alive")


def _ready(service: Service, *_: bytes) -> object:
    if problems := service.problems():
        return make_answer(
            _status(service, "degraded", *problems), HTTPStatus.SERVICE_UNAVAILABLE
        )
    return _status(service, "ready")


def _metrics(service: Service, *_: bytes) -> object:
    return make_answer(
        service.metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4.encode()
    )


def _experiments(service: Service, *_: bytes) -> object:
    model, settings = service.versions.model, service.settings
    running = [
        {
            "name": experiment.name,
            "decides": experiment.name == settings.decides,
            "overrides": len(experiment.overrides),
            "arms": [
                {
                    "name": arm.name,
                    "share": experiment.shares[arm.name],
                    "recommender": arm.recommender,
                }
                for arm in experiment.arms
            ],
        }
        for experiment in settings.experiments
    ]
    served = {"version": model.version, "created_at": model.created_at.isoformat()}
    return {**served, "refused": service.versions.refused, "experiments": running}


def _document(service: Service, *_: bytes) -> dict[str, Any]:
    """Return the OpenAPI document, with the kinds of ids that the service has."""
    document: dict[str, Any] = yaml.safe_load(_DOCUMENT.read_bytes())
    for name, is_text in (
        ("UserId", service.bodies.text_users),
        ("TrackId", service.bodies.catalogue.is_text),
    ):
        if is_text:
            document["components"]["schemas"][name] |= {
                "type": "string",
                "minLength": 1,
            }
    return document


def _page(service: Service, *_: bytes) -> object:
    page = flask.render_template("docs.html", **_document(service))
    return make_answer(page.encode(), content_type=b"text/html; charset=utf-8")


def _reload(service: Service, *_: bytes) -> object:
    return {"version": service.versions.reload().version}


def _roll_back(service: Service, _: bytes, body: bytes) -> object:
    return {"version": service.versions.roll_back(service.bodies.version(body)).version}


# The method and the view by path; a path that ends in / is followed by an id.
VIEWS: Mapping[bytes, tuple[str, View]] = {
    b"/next/": ("POST", partial(_playback, "next")),
    b"/last/": ("POST", partial(_playback, "last")),
    b"/next": ("POST", partial(_playback_of_many, "next")),
    b"/last": ("POST", partial(_playback_of_many, "last")),
    b"/assignments": ("POST", _assigned_arms),
    b"/track/": ("GET", _track_record),
    b"/": ("GET", _live),
    b"/health/live": ("GET", _live),
    b"/health/ready": ("GET", _ready),
    b"/metrics": ("GET", _metrics),
    b"/experiments": ("GET", _experiments),
    b"/openapi.json": ("GET", _document),
    b"/docs": ("GET", _page),
    b"/admin/reload": ("POST", _reload),
    b"/admin/rollback": ("POST", _roll_back),
}
