"""The fast path of `POST /next/<user>` and `/last/<user>`, which skips Flask's routing: that costs twice their work.

A request that is not plainly one of these goes through Flask, whose views at the same paths call the same functions of
`botify.http.playback`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask

from botify.http.playback import answer_last, answer_next
from botify.schemas import BodyError
from botify.service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ANSWERS = {"/next/": answer_next, "/last/": answer_last}
_PREFIX = len("/next/")
_LONGEST_NUMBER = 19


class FastPath:
    """A WSGI application in front of Flask's."""

    def __init__(self, app: flask.Flask, service: Service) -> None:
        """Wrap an application: `app.wsgi_app = FastPath(app, service)`."""
        self._app, self._service = app, service
        self._flask: WSGIApplication = app.wsgi_app
        self._limit = service.settings.body_limit_bytes

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH", "")
        answer, user = _ANSWERS.get(path[:_PREFIX]), path[_PREFIX:]
        if (
            answer is None
            or environ["REQUEST_METHOD"] != "POST"
            or not (_is_number(user) and _is_number(length))
            or int(length) > self._limit
        ):
            return self._flask(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        try:
            if len(body) < int(length):
                raise BodyError("the body was cut off")
            text = answer(self._service, int(user), body)
        except Exception as error:  # noqa: BLE001  answered by the application's own handlers
            with self._app.request_context(environ):
                return self._app.make_response(self._app.handle_user_exception(error))(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]


def _is_number(text: str) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= _LONGEST_NUMBER
