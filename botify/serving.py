"""Runs the service: its parts are put together in each process, behind one WSGI server.

The parent reads catalogue and recommendations before it starts the others, so that a fault in them is told at once and
in one line, and so that the processes share the memory until the first new version.
"""

import gc
import multiprocessing
import os
import socket
from dataclasses import dataclass
from multiprocessing.util import Finalize

import flask
import numpy as np
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from botify.collection import describe_log
from botify.errors import StartError
from botify.event_log import SegmentWriter
from botify.http.app import create_app
from botify.metrics import Metrics
from botify.model.catalogue import Catalogue, load_catalogue
from botify.model.model import Model, load_model
from botify.model.versions import Versions
from botify.service import Service
from botify.sessions.local import LocalSessions, SessionStore
from botify.sessions.redis import RedisSessions
from botify.settings import Settings
from looplib.config import dump_config
from looplib.files import atomic_write_text
from looplib.randomness import make_generator

EFFECTIVE_CONFIG = "botify.yaml"
_BACKLOG = 1024
_GARBAGE_THRESHOLD = 50_000  # new objects before a look for cycles


@dataclass(frozen=True)
class Loaded:
    """What is read before the processes start."""

    catalogue: Catalogue
    model: Model


def load(settings: Settings) -> Loaded:
    """Reads catalogue and recommendations.

    Raises:
        BotifyError: One of them cannot be used.
    """
    catalogue = load_catalogue(settings.catalog)
    return Loaded(catalogue, load_model(settings, catalogue))


def make_service(settings: Settings, loaded: Loaded) -> Service:
    """Puts the parts of one process together, and starts to watch for new versions.

    Raises:
        UserError: The experiments contradict themselves.
        OSError: The event log's folder cannot be written.
    """
    versions = Versions(settings, loaded.catalogue, loaded.model)
    log = SegmentWriter(
        settings.log_dir,
        fsync=settings.event_log.fsync,
        max_bytes=settings.event_log.segment_bytes,
        max_age_s=settings.event_log.segment_age_s,
        process=f"{socket.gethostname()}-{os.getpid()}",
    )
    service = Service(
        settings=settings,
        versions=versions,
        experiments=tuple(experiment.experiment() for experiment in settings.experiments),
        store=_make_store(settings),
        log=log,
        metrics=Metrics(),
        rng=np.random.default_rng() if settings.seed is None else make_generator(settings.seed, "serve", os.getpid()),
    )
    versions.watch()
    return service


def _make_store(settings: Settings) -> SessionStore:
    if settings.redis_url is None:
        return LocalSessions(silence_s=settings.session_silence_s)
    url = settings.redis_url.get_secret_value()
    return RedisSessions(url, silence_s=settings.session_silence_s, timeout_s=settings.redis_timeout_s)


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; then requests under way are answered and the segments closed.

    Raises:
        UserError: The service cannot start as it is configured.
    """
    if settings.processes > 1 and settings.redis_url is None:
        raise StartError(
            f"processes: {settings.processes} found, but sessions are kept in a process unless redis_url is set; "
            "set redis_url, or processes to 1"
        )
    loaded = load(settings)
    for experiment in settings.experiments:
        experiment.experiment()
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    describe_log(settings.log_dir, loaded.catalogue)
    atomic_write_text(settings.log_dir / EFFECTIVE_CONFIG, dump_config(settings))
    _check_port(settings)
    multiprocessing.set_start_method("fork", force=True)  # the others get what was loaded
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
    server.serve(target_loader=lambda: _make_app(settings, loaded), wrap_loader=False)


def _make_app(settings: Settings, loaded: Loaded) -> flask.Flask:
    """The application of a worker process."""
    service = make_service(settings, loaded)
    # What was loaded stays; looking through it for garbage again and again would hold up requests.
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    Finalize(None, service.close, exitpriority=10)  # a worker ends without Python's own exit handlers
    return create_app(service)


def _check_port(settings: Settings) -> None:
    """Fails where another program listens: the server itself would share the port with it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartError(f"{settings.host}:{settings.port}: cannot be listened on ({error.strerror})") from None
