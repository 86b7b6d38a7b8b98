"""Serve what was published, from Python: the service runs in a process of its own for the time of a block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from listening_loop.lab import service
from listening_loop.processes import command, free_port, serving


class Service(service.Service):
    """A running service."""

    def next(self, user: Any, track: Any, time: float = 1.0) -> Any:  # noqa: ANN401  ids of the owner
        """Say what share of a track a listener has heard, 0..1, and return the track to play next.

        Raises:
            Error: The service refuses, as the track is unknown, an id is of another kind or the
                share no share.
        """
        return self.ask(
            "POST", f"/next/{quote(str(user), safe='')}", {"track": track, "time": time}
        )["track"]

    def last(self, user: Any, track: Any, time: float = 1.0) -> None:  # noqa: ANN401  ids of the owner
        """Say what share of a track a listener heard last, and end the session; errors are those of `next`."""
        self.ask(
            "POST", f"/last/{quote(str(user), safe='')}", {"track": track, "time": time}
        )


@contextmanager
def serve(
    published: str | Path,
    *,
    port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Service]:
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
    server = command("The service", "botify", *changes, published=published, port=found)
    with serving(server, found):
        yield Service(f"http://127.0.0.1:{found}")
