"""What players ask: the next track, the end of a session, a track's record."""

import flask
import orjson
from flask import Blueprint, Response, request

from botify.http.openapi import documented
from botify.schemas import (
    BodyError,
    HeardTrack,
    HeardTracks,
    Listener,
    Listeners,
    NextTrack,
    NextTracks,
    Track,
    read_many,
    read_one,
)
from botify.service import Service

_REFUSALS = (400, 413, 503)
_REFUSALS_BY_ID = (400, 404, 413, 503)  # 404: the path has no id


def make_blueprint(service: Service) -> Blueprint:
    """The blueprint of a service."""
    api = Blueprint("api", __name__)
    catalogue = service.versions.model.catalogue
    tracks, limit = service.tracks, service.settings.batch_limit

    @api.post("/next/<int:user>")
    @documented(body=HeardTrack, answer=NextTrack, refusals=_REFUSALS_BY_ID)
    def next_track(user: int) -> Response:
        """Tells what a listener just heard, and recommends the next track."""
        return _answer(answer_next(service, user, whole_body()))

    @api.post("/last/<int:user>")
    @documented(body=HeardTrack, answer=Listener, refusals=_REFUSALS_BY_ID)
    def last_track(user: int) -> Response:
        """Tells what a listener heard last, and ends the session."""
        return _answer(answer_last(service, user, whole_body()))

    @api.post("/next")
    @documented(body=HeardTracks, answer=NextTracks, refusals=_REFUSALS)
    def next_tracks() -> Response:
        """The same for many listeners at once."""
        heard = read_many(whole_body(), tracks, limit)
        found = zip(heard, service.next(heard), strict=True)
        return _answer(_responses([{"user": user, "track": track} for (user, _, _), track in found]))

    @api.post("/last")
    @documented(body=HeardTracks, answer=Listeners, refusals=_REFUSALS)
    def last_tracks() -> Response:
        """The same for many listeners at once."""
        heard = read_many(whole_body(), tracks, limit)
        service.last(heard)
        return _answer(_responses([{"user": user} for user, _, _ in heard]))

    @api.get("/track/<int:track>")
    @documented(answer=Track, refusals=(404,))
    def track_record(track: int) -> Response:
        """The catalogue's record of a track."""
        if track >= tracks:
            flask.abort(404, f"track {track} is unknown; the catalogue has 0..{tracks - 1}")
        return _answer(catalogue.record(track))

    return api


def answer_next(service: Service, user: int, body: bytes) -> bytes:
    """The answer to `POST /next/<user>` with a body.

    Raises:
        BodyError: The body is refused.
        OSError: The event could not be written.
        LateError: The request took too long.
    """
    heard = read_one(body, user, service.tracks)
    return b'{"user":%d,"track":%d}' % (user, service.next((heard,))[0])


def answer_last(service: Service, user: int, body: bytes) -> bytes:
    """The answer to `POST /last/<user>` with a body; raises what `answer_next` does."""
    service.last((read_one(body, user, service.tracks),))
    return b'{"user":%d}' % user


def whole_body() -> bytes:
    """The body of the request under way.

    Raises:
        BodyError: It was cut off.
    """
    body = request.get_data(cache=False)
    if len(body) < (request.content_length or 0):
        raise BodyError("the body was cut off")
    return body


def _answer(body: bytes) -> Response:
    return Response(body, content_type="application/json")


def _responses(answers: list[dict[str, int]]) -> bytes:
    return orjson.dumps({"responses": answers})
