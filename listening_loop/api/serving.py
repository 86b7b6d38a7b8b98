"""Serve published recommendations from Python, in another process."""

import atexit
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from listening_loop.client import ServiceClient
from listening_loop.errors import LoopError
from listening_loop.processes import command, free_port, serving


@dataclass(frozen=True)
class LocalService(ServiceClient):
    """A service on this machine, which `close`, or the end of a `with` block, ends."""

    _process: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """End the service; a second time does nothing."""
        self._process.close()

    def __enter__(self) -> Self:
        """Return the service."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()


def serve(
    published: str | Path,
    *,
    port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> LocalService:
    """Serve the recommendations in a folder that `Run.export` or `publish` published to.

    It ends with a `with` block, by its `close`, or with the program.

    >>> serve("nowhere")
    Traceback (most recent call last):
    listening_loop.errors.LoopError: nowhere: no such folder; run.export and ll.publish make one

    Args:
        published: The published folder. The event log goes into its subfolder `log`.
        port: Port on this machine (default: a free port).
        settings: Other values of the service's configuration by dotted key, such as `experiments`.

    Raises:
        Error: The service does not start, and why.

    Example, after `run.export("published")`::

        with ll.serve("published") as service:
            track = service.next("u17", 12)
    """
    if not Path(str(published)).is_dir():
        advice = "run.export and ll.publish make one"
        raise LoopError(f"{published}: no such folder; {advice}")
    port = port or free_port()
    if port not in range(1, 2**16):
        raise LoopError(f"port is {port}; 1 to 65535 is expected")
    options = [
        f"--set={key}={orjson.dumps(value).decode()}"
        for key, value in (settings or {}).items()
    ]
    server = command("serve", *options, published=published, port=port)
    process = ExitStack()
    process.enter_context(serving(server, port))
    atexit.register(process.close)
    return LocalService(f"http://127.0.0.1:{port}", _process=process)
