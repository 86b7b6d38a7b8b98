"""Errors of the service, and the HTTP status that answers each.

To refuse requests for another reason, add a class with its status and raise it where the reason
is seen. `botify.views.refuse` turns the error into the answer; describe the status in
`openapi.yaml`. A view that decides alone calls Flask's `abort(404, …)`. `botify.asgi` refuses
requests that do not come whole or wait too long, before all of this.
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


class UnavailableError(BotifyError):
    """A session store or an event log that fails now: nothing is acknowledged."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
