"""Serve under granian: it reads HTTP, and starts workers again that ended."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from multiprocessing import set_start_method
from multiprocessing.connection import wait
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess
from prometheus_client.multiprocess import mark_process_dead

from botify import limits
from botify.app import make_app, prepare
from botify.asgi import BufferedApp
from botify.errors import BotifyError
from botify.event_log import OPEN_PREFIX, adopt_segments
from botify.model.model import ServedModel
from botify.service import Service, make_sessions
from botify.settings import ServiceSettings
from looplib.errors import UserError
from looplib.platform import raise_file_limit, return_memory

_RESPAWN_PAUSE_S = 0.5
_PORT_WAIT_S = 5.0  # workers of a killed service leave the port within this time
_PARENT_CHECK_S = 0.5
_SWITCH_S = 0.001  # after which a thread that answers a batch lets another run
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOGGING = {"loggers": {"_granian": {"propagate": True}}, "handlers": {}}

logger = logging.getLogger("botify")


def serve(settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; then requests under way are answered.

    Raises:
        UserError: The service cannot start with these settings.
    """
    if settings.processes > 1 and settings.redis_url is None:
        raise BotifyError(
            f"processes: {settings.processes} found, but sessions are kept in a process "
            "unless redis_url is set; set redis_url, or processes to 1"
        )
    model = prepare(settings)
    if settings.redis_url:
        # fail now, as every worker would
        make_sessions(settings, model.catalogue.sha256)
    port = _find_port(settings)
    announce(settings, model, port)
    raise_file_limit()
    return_memory()  # loading needed more
    set_start_method("fork", force=True)  # workers share the model's memory
    server = _Server(
        "botify",
        settings.host,
        port,
        interface=Interfaces.ASGI,
        workers=settings.processes,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=round(limits.HEADER_S * 1000)),
        websockets=False,
        backpressure=limits.CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=limits.STOP_S,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
    )
    try:
        server.serve(
            target_loader=partial(_load_worker, settings, model, os.getpid()),
            wrap_loader=False,
        )
    finally:
        adopt_segments(settings.log_dir)  # killed workers leave open segments


def _load_worker(
    settings: ServiceSettings, model: ServedModel, master: int
) -> BufferedApp:
    """Make the application of a worker, in its process."""
    threading.Thread(target=_end_with, args=(master,), daemon=True).start()
    try:
        service = Service(settings, model)
    except (UserError, OSError) as error:
        logger.error("worker: %s", error)
        raise SystemExit(1) from None
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # the model stays, so collections need not look at it
    in_loop = service.never_waits
    app = BufferedApp(make_app(service), service.close, in_loop=in_loop)
    # runs once granian heeds SIGTERM
    asyncio.get_event_loop().call_soon(_heed_signals, app)
    return app


def _heed_signals(app: BufferedApp) -> None:
    """Unblock SIGTERM; Ctrl-C stays blocked, as the master passes it on as SIGTERM."""
    loop = asyncio.get_running_loop()
    # granian learns of the signal by the loop's file, whatever this handler is
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(app.stop))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


class _Worker(WorkerProcess):
    """Granian's worker; no signal is lost while it starts, and its end is known at once."""

    def start(self) -> None:
        """Start the process with its signals blocked."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        super().start()  # type: ignore[no-untyped-call]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def is_alive(self) -> bool:
        """Check whether the process runs, which another thread waits for as well."""
        return not wait([self.inner.sentinel], timeout=0)


class _Server(MPServer):
    """Granian's server; it goes on while a worker ends again and again."""

    def _spawn_worker(self, *args: Any, **options: Any) -> WorkerProcess:  # noqa: ANN401  granian's
        worker = super()._spawn_worker(*args, **options)
        worker.__class__ = _Worker
        return worker

    def _respawn_workers(
        self,
        workers: list[int],
        *args: Any,  # noqa: ANN401  granian's
        **options: Any,  # noqa: ANN401  granian's
    ) -> None:
        for number in workers:
            mark_process_dead(self.wrks[number].inner.pid)  # type: ignore[no-untyped-call]
        super()._respawn_workers(
            workers, *args, **{"delay": _RESPAWN_PAUSE_S, **options}
        )
        self.respawned_wrks.clear()


def _end_with(master: int) -> None:
    """Stop this worker when its parent has died."""
    while os.getppid() == master:
        time.sleep(_PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def announce(settings: ServiceSettings, model: ServedModel, port: int) -> None:
    """Log the address of the service, its version, and the folder of its events."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{port}"
    logger.info("%s, to read about it: %s/docs", address, address)
    logger.info(
        "version %s: lists of %s listeners, a catalogue of %s tracks",
        model.version,
        f"{len(model.recommendations.ids):,}",
        f"{len(model.catalogue):,}",
    )
    logger.info(
        "events are logged in %s; the file under way is hidden: %sevents-…",
        settings.log_dir,
        OPEN_PREFIX,
    )
    for warning in settings.warnings(model):
        logger.warning("%s", warning)


def _find_port(settings: ServiceSettings) -> int:
    """Find a free port, failing if another program listens: workers would share it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = settings.host, settings.port
    deadline = time.monotonic() + _PORT_WAIT_S
    while True:
        try:
            with socket.create_server(address, family=family) as probe:
                return int(probe.getsockname()[1])
        except OSError as error:
            if time.monotonic() > deadline:
                name = f"{settings.host}:{settings.port}"
                cause = error.strerror
                raise BotifyError(
                    f"{name}: cannot be listened on ({cause}); choose another --host or --port"
                ) from None
        time.sleep(0.1)
