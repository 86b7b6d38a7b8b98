"""Runs the service: its worker processes, behind one WSGI server.

The parent reads catalogue and recommendations before it starts the others, so that a fault in them is reported at once
and in one line, and so that the processes share the memory until the first new version.
"""

import gc
import multiprocessing
import socket
from multiprocessing.util import Finalize

import flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from botify.errors import StartError
from botify.event_log import describe_log
from botify.http.app import create_app
from botify.model.catalogue import load_catalogue
from botify.model.loading import load_model
from botify.model.model import Model
from botify.service import Service
from botify.settings import Settings
from looplib.config import dump_config
from looplib.files import atomic_write_text

EFFECTIVE_CONFIG = "botify.yaml"
_BACKLOG = 1024
_GARBAGE_THRESHOLD = 50_000  # new objects before a look for cycles


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then requests under way are answered and the segments closed.

    Raises:
        UserError: The service cannot start with these settings.
    """
    if settings.processes > 1 and settings.redis_url is None:
        raise StartError(
            f"processes: {settings.processes} found, but sessions are kept in a process unless redis_url is set; "
            "set redis_url, or processes to 1"
        )
    model = load_model(settings, load_catalogue(settings.catalog))
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    describe_log(settings.log_dir, model.catalogue)
    atomic_write_text(settings.log_dir / EFFECTIVE_CONFIG, dump_config(settings))
    _check_port(settings)
    multiprocessing.set_start_method("fork", force=True)  # the workers share what was loaded
    server = Server(
        "botify",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.processes,
        blocking_threads=settings.threads,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=0,
        workers_kill_timeout=settings.stop_grace_s,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=lambda: _make_app(settings, model), wrap_loader=False)


def _make_app(settings: Settings, model: Model) -> flask.Flask:
    """Make the application of a worker process."""
    service = Service(settings, model)
    # What was loaded stays; looking through it for garbage again and again would hold up requests.
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    Finalize(None, service.close, exitpriority=10)  # a worker ends without Python's own exit handlers
    return create_app(service)


def _check_port(settings: Settings) -> None:
    """Fail where another program listens: the server itself would share the port with it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartError(f"{settings.host}:{settings.port}: cannot be listened on ({error.strerror})") from None
