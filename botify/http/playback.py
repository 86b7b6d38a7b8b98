"""Endpoints of players and experimenters: the next track, the end of a session, a track's record, listeners' arms."""

from collections.abc import Callable, Mapping
from typing import Any

import flask
import orjson
from flask import Blueprint, Response, request

from botify.model.catalogue import Id
from botify.schemas import BodyError
from botify.service import Service

Responses = dict[str, list[dict[str, Any]]]


def answer_next(service: Service, user: Id, body: bytes) -> bytes:
    """Answer `POST /next/<user>` with a body; raises `BodyError` and what `Service.next` does."""
    listening, numbers = service.bodies.one(body, user)
    (track,) = service.next((listening,), numbers)
    return orjson.dumps({"user": user, "track": service.versions.model.catalogue.ids[track]})


def answer_last(service: Service, user: Id, body: bytes) -> bytes:
    """Answer `POST /last/<user>` with a body; raises `BodyError` and what `Service.last` does."""
    listening, numbers = service.bodies.one(body, user)
    service.last((listening,), numbers)
    return orjson.dumps({"user": user})


ANSWERS: Mapping[bytes, Callable[[Service, Id, bytes], bytes]] = {b"/next/": answer_next, b"/last/": answer_last}


def make_blueprint(service: Service) -> Blueprint:
    """Make the blueprint of a service."""
    playback = Blueprint("playback", __name__)
    catalogue, bodies = service.versions.model.catalogue, service.bodies

    @playback.post("/next/<user:user>")
    def next_track(user: Id) -> Response:
        return _json(answer_next(service, user, _whole_body()))

    @playback.post("/last/<user:user>")
    def last_track(user: Id) -> Response:
        return _json(answer_last(service, user, _whole_body()))

    @playback.post("/next")
    def next_tracks() -> Responses:
        requests, numbers = bodies.many(_whole_body())
        found = zip(requests, service.next(requests, numbers), strict=True)
        return {"responses": [{"user": user, "track": catalogue.ids[track]} for (user, _, _), track in found]}

    @playback.post("/last")
    def last_tracks() -> Responses:
        requests, numbers = bodies.many(_whole_body())
        service.last(requests, numbers)
        return {"responses": [{"user": user} for user, _, _ in requests]}

    @playback.get("/track/<track:track>")
    def track_record(track: Id) -> Response:
        number = catalogue.number(track)
        if number is None:
            flask.abort(404, f"track {track} is unknown; the catalogue has {len(catalogue):,} others")
        return _json(catalogue.record(number))

    @playback.post("/assignments")
    def assigned_arms() -> Responses:
        users = bodies.users(_whole_body())
        found = zip(users, service.arms_of(users), strict=True)
        return {"assignments": [{"user": user, "experiments": arms} for user, arms in found]}

    return playback


def _whole_body() -> bytes:
    body = request.get_data(cache=False)
    if len(body) < (request.content_length or 0):
        raise BodyError("the body was cut off")
    return body


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")
