"""Errors of the service, and the HTTP status that answers each.

To refuse requests for one more reason, add a class with its status and raise it where the reason
is seen; those of too many requests are in `botify.limits`. `botify.views.refuse` turns it into the
answer; describe the status in `openapi.yaml`. What a view alone decides is a Flask `abort(404, …)`
there. `botify.asgi` refuses requests that do not come whole before any of this.
"""

from http import HTTPStatus
from typing import ClassVar

from looplib.errors import UserError


class BotifyError(UserError):
    """Base of the service's errors; itself: settings or catalogue do not let it start."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR


class ModelError(BotifyError):
    """Exported recommendations that cannot be used."""


class BodyError(BotifyError):
    """A body, a query or an id in a path that cannot be answered."""

    status = HTTPStatus.BAD_REQUEST


class SessionError(BotifyError):
    """A session store that cannot be reached, and without which there is no answer."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class EventLogError(BotifyError):
    """An event that could not be written, so that it is not acknowledged."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
