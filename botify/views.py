"""Answer requests: players ask for tracks and end sessions, operators ask for the rest.

`refuse` answers every request that fails.
"""

import hmac
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    render_template,
    request,
)
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from botify import limits
from botify.asgi import REFUSAL
from botify.errors import BotifyError
from botify.event_log import Message
from botify.model.catalogue import Id
from botify.schemas import Listening, Ranking
from botify.service import Service
from looplib.arrays import NO_TRACK

_DOCUMENT = Path(__file__).with_name("openapi.yaml")

logger = logging.getLogger("botify")

# nothing is fetched, nothing runs, and no other site shows the page in a frame
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

# HTTP/1.0 may name no host
_LOCAL = re.compile(r"(localhost|127(\.\d+){3}|::1|\[::1\]|)(:\d+)?")
_JSON = re.compile(r"(application/json *(;.*)?)?$", re.IGNORECASE)

views = Blueprint("views", __name__)


@views.post("/next/<id:user>", defaults={"message": "next"})
@views.post("/last/<id:user>", defaults={"message": "last"})
def hear(message: Message, user: str) -> ResponseReturnValue:
    """Add a track to a listener's session; answer with the next track, or end the session."""
    service = _service()
    listening = service.bodies.one(request.get_data(), service.bodies.user(user))
    (tracks,) = service.answer(message, [listening])
    content = orjson.dumps(_next_track(listening, tracks))
    return Response(content, content_type="application/json")


@views.post("/next", defaults={"message": "next"})
@views.post("/last", defaults={"message": "last"})
def hear_many(message: Message) -> ResponseReturnValue:
    """Add tracks to many listeners' sessions, as `hear` does."""
    service = _service()
    requests = service.bodies.many(request.get_data())
    lists = service.answer(message, requests, in_batch=True)
    content = orjson.dumps({"responses": [*map(_next_track, requests, lists)]})
    return Response(content, content_type="application/json")


@views.post("/assignments")
def assignments() -> ResponseReturnValue:
    """Answer with the arms of listeners."""
    service = _service()
    users = service.bodies.users(request.get_data())
    assigned = [
        {"user": user, "experiments": arms}
        for user, arms in zip(users, service.arms_of(users), strict=True)
    ]
    return {"assignments": assigned}


@views.get("/recommend/<id:user>")
def recommended(user: str) -> ResponseReturnValue:
    """Answer with the best tracks for a listener, without a session; nothing is logged."""
    service = _service()
    listener = service.bodies.user(user)
    ranking = service.bodies.query(request.args)
    tracks = service.list_for(listener, ranking)
    return {"user": listener, "tracks": tracks, **_titles(ranking, tracks)}


@views.post("/rank")
def ranked() -> ResponseReturnValue:
    """Rank the caller's candidates for a listener; nothing is logged."""
    service = _service()
    listener, ranking = service.bodies.ranking(request.get_data())
    return {"user": listener, "tracks": service.list_for(listener, ranking)}


@views.get("/similar/<id:track>")
def similar(track: str) -> ResponseReturnValue:
    """Answer with the tracks most similar to a track."""
    service = _service()
    track_id = service.bodies.catalogue.ids[_track_number(track)]
    ranking = service.bodies.query(request.args, is_similar=True)
    tracks = service.similar_to(track_id, ranking)
    if tracks is None:
        version = service.versions.model.version
        abort(
            404, f"version {version} has no similar tracks; export a run with factors"
        )
    return {"track": track_id, "tracks": tracks, **_titles(ranking, tracks)}


@views.get("/track/<id:track>")
def track_record(track: str) -> ResponseReturnValue:
    """Answer with the catalogue's record of a track."""
    record = _service().bodies.catalogue.record(_track_number(track))
    return Response(record, mimetype="application/json")


@views.get("/")
@views.get("/health/live")
def live() -> ResponseReturnValue:
    """Answer while the process lives."""
    return _status("alive")


@views.get("/health/ready")
def ready() -> ResponseReturnValue:
    """Answer 200 where requests should come here, or the reasons why not."""
    warnings = _service().warnings()
    if warnings:
        return _status("degraded", *warnings), HTTPStatus.SERVICE_UNAVAILABLE
    return _status("ready")


@views.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Answer with all metrics, for Prometheus."""
    text = _service().metrics.text()
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


@views.get("/experiments")
def experiments() -> ResponseReturnValue:
    """Answer with the running experiments and the version served."""
    service = _service()
    model = service.versions.model
    running = [
        {
            "name": experiment.name,
            "decides": experiment is service.settings.deciding,
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
        for experiment in service.settings.experiments
    ]
    return {
        "version": model.version,
        "created_at": model.created_at.isoformat(),
        "refused": service.versions.refused,
        "experiments": running,
    }


@views.get("/openapi.json")
def document() -> ResponseReturnValue:
    """Answer with the OpenAPI document."""
    return _document()


@views.get("/docs")
def page() -> ResponseReturnValue:
    """Answer with the OpenAPI document as a page, with examples for curl."""
    bodies = _service().bodies
    track = bodies.catalogue.ids[0]
    user = "someone" if bodies.text_users else 7
    text = render_template("docs.html", user=user, track=track, **_document())
    return text, HTTPStatus.OK, _PAGE_HEADERS


@views.delete("/listeners/<id:user>")
def erase(user: str) -> ResponseReturnValue:
    """Delete a listener's session and plays, given the administrator's token."""
    service = _service()
    token = service.settings.admin_token
    if token is None:
        abort(403, "no admin_token is configured, so nobody may do this")
    expected = f"Bearer {token.get_secret_value()}"
    sent = request.headers.get("Authorization", "")
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        abort(401, "send the header Authorization: Bearer <admin_token>")
    listener = service.bodies.user(user)
    service.sessions.erase(listener)
    return {"user": listener}


@views.before_app_request
def check_request() -> None:
    """Refuse a request that the server refuses or that a page of another site sends."""
    environ = request.environ
    if REFUSAL in environ:
        abort(*environ[REFUSAL])
    host = environ.get("HTTP_HOST", "")
    name = host.rsplit(":", 1)[0]
    hosts = _service().settings.hosts
    is_checked = hosts or _LOCAL.fullmatch(environ["SERVER_NAME"])
    if is_checked and name not in hosts and not _LOCAL.fullmatch(host):
        abort(403, f"asked as {name}; if that is right, add it to hosts")
    if environ["REQUEST_METHOD"] != "POST":
        return
    is_packed = environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity"
    if is_packed or not _JSON.match(environ.get("CONTENT_TYPE", "")):
        abort(415, "send JSON as Content-Type: application/json, no Content-Encoding")
    origin = environ.get("HTTP_ORIGIN")
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    is_foreign = origin and origin.partition("://")[2] != host
    if is_foreign or site not in ("none", "same-origin"):
        abort(403, f"asked by a page of another site: {origin}")


@views.app_errorhandler(Exception)
def refuse(error: Exception) -> ResponseReturnValue:
    """Answer a request that failed, in JSON: with the status of its error, see `botify.errors`."""
    headers = {}
    match error:
        case BotifyError():
            status, message = int(error.status), str(error)
        case RequestEntityTooLarge():
            status, message = (
                413,
                f"send at most {limits.BODY_BYTES} bytes, in large chunks",
            )
        case HTTPException():
            status, message = error.code or 500, error.description or error.name
            if error is request.routing_exception:
                message = f"{message} /docs lists all endpoints."
            headers = dict(error.get_headers()) | {"Content-Type": "application/json"}
        case _:
            logger.exception("unexpected error", exc_info=error)
            status = 500
            message = "unexpected error; the details are in the service's log"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = "1"  # second
    _service().metrics.refusals.labels(str(status)).inc()
    return {"error": message}, status, headers


def _service() -> Service:
    service: Service = current_app.extensions["botify"]
    return service


def _track_number(track: str) -> int:
    """Look up the number of a track, or answer 404 where the catalogue lacks it."""
    bodies = _service().bodies
    number = bodies.track(track)
    if number == NO_TRACK:
        abort(404, f"track not found; the catalogue has {len(bodies.catalogue):,}")
    return number


def _next_track(listening: Listening, tracks: Sequence[Id]) -> dict[str, Any]:
    answer: dict[str, Any] = {"user": listening.user}
    if tracks:
        answer["track"] = tracks[0]
        if listening.list_length:
            answer["tracks"] = tracks
    return answer


def _titles(ranking: Ranking, tracks: Sequence[Id]) -> dict[str, Any]:
    """Read the records of tracks, if they are asked for."""
    if not ranking.titles:
        return {}
    catalogue = _service().bodies.catalogue
    records = [catalogue.record(catalogue.number(track)) for track in tracks]
    return {"titles": [*map(msgspec.json.decode, records)]}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(_DOCUMENT.read_bytes())
    return document


def _status(status: str, *warnings: str) -> dict[str, Any]:
    version = _service().versions.model.version
    return {"status": status, "problems": warnings, "version": version}
