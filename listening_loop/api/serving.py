"""Serve what was published, from Python, in a process of its own for the time of a block."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from listening_loop.errors import ServiceError
from listening_loop.processes import command, free_port, serving

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class ServiceClient:
    """A running service."""

    url: str
    token: str | None = None  # of its administrator

    def next(self, user: Any, track: Any, time: float = 1.0) -> Any:  # noqa: ANN401
        """Log what share of a track a listener has heard, 0..1, and return the track to play next.

        Raises:
            Error: The service refuses, as the track is unknown, an id is of another kind or the
                share no share.
        """
        path = f"/next/{quote(str(user), safe='')}"
        return self.ask("POST", path, {"track": track, "time": time})["track"]

    def last(self, user: Any, track: Any, time: float = 1.0) -> None:  # noqa: ANN401
        """Log what share of a track a listener heard last, and end the session.

        Raises:
            Error: The service refuses.
        """
        path = f"/last/{quote(str(user), safe='')}"
        self.ask("POST", path, {"track": track, "time": time})

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the answer to a request with a JSON body.

        Raises:
            Error: The service does not answer, or refuses.
        """
        parts = urlsplit(self.url)
        connect: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            connect = http.client.HTTPSConnection
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None
        if body is not None:
            content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            with closing(connect(parts.netloc, timeout=_TIMEOUT_S)) as connection:
                path = f"{parts.path.rstrip('/')}{path}"
                connection.request(method, path, content, headers)
                answer = connection.getresponse()
                document = orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            problem = f"the service at {self.url} does not answer ({error})"
            raise ServiceError(problem) from None
        if answer.status != http.client.OK:
            reason = document.get("error", "no reason given")
            raise ServiceError(f"the service refuses ({answer.status}): {reason}")
        return dict(document)


@contextmanager
def serve(
    published: str | Path,
    *,
    port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[ServiceClient]:
    """Serve the recommendations in a folder that `Run.export` published to, until the block ends.

    Args:
        published: The folder; its catalogue is that of the export, and the event log is its folder
            `log`.
        port: Where to listen on this machine; by default a free one.
        settings: Other values of the service's configuration by dotted key, such as `experiments`.

    Raises:
        Error: The service does not start; its own message is on stderr.
    """
    found = port or free_port()
    changes = [
        f"--set={key}={orjson.dumps(value).decode()}"
        for key, value in (settings or {}).items()
    ]
    options = {"published": published, "port": found}
    with serving(command("The service", "botify", *changes, **options), found):
        yield ServiceClient(f"http://127.0.0.1:{found}")
