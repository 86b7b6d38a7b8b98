"""Serve published recommendations from Python, in another process, for the time of a block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from listening_loop.client import ServiceClient
from listening_loop.processes import command, free_port, serving


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

    Example, after `run.export("published")`::

        with ll.serve("published") as service:
            track = service.next("u17", 12)
    """
    port = port or free_port()
    options = [
        f"--set={key}={orjson.dumps(value).decode()}"
        for key, value in (settings or {}).items()
    ]
    server = command("serve", *options, published=published, port=port)
    with serving(server, port):
        yield ServiceClient(f"http://127.0.0.1:{port}")
