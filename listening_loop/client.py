"""Call a running service over HTTP."""

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from listening_loop.errors import LoopError

_TIMEOUT_S = 20.0
OPENER = build_opener(ProxyHandler({}))  # a service is asked directly


@dataclass(frozen=True)
class ServiceClient:
    """A running service."""

    url: str
    token: str | None = None  # the administrator's

    def next(self, user: Any, track: Any, time: float = 1.0) -> Any:  # noqa: ANN401
        """Log the share of a track that a listener heard, 0..1, and return the track to play next.

        Raises:
            Error: The service refuses, as an id is of another kind or the share no share.
        """
        return self._hear("next", user, track, time)["track"]

    def last(self, user: Any, track: Any, time: float = 1.0) -> None:  # noqa: ANN401
        """Log the share that a listener heard of the last track, and end the session.

        Raises:
            Error: The service refuses.
        """
        self._hear("last", user, track, time)

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request with a JSON body, and return the answer.

        Raises:
            Error: The service does not answer, or refuses.
        """
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None
        if body is not None:
            content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            request = Request(f"{self.url}{path}", content, headers, method=method)  # noqa: S310
            with OPENER.open(request, timeout=_TIMEOUT_S) as answer:
                return dict(orjson.loads(answer.read()))
        except HTTPError as refusal:
            with refusal:
                reason = refusal.read(500).decode(errors="replace")
            problem = f"the service refuses ({refusal.code}): {reason}"
        except (OSError, HTTPException, TypeError, ValueError) as error:
            cause = getattr(error, "reason", error)
            problem = f"the service at {self.url} does not answer ({cause})"
        raise LoopError(problem)

    def _hear(
        self,
        message: str,
        user: Any,  # noqa: ANN401
        track: Any,  # noqa: ANN401
        time: float,
    ) -> dict[str, Any]:
        path = f"/{message}/{quote(str(user), safe='')}"
        return self.ask("POST", path, {"track": track, "time": time})
