"""Runs the service: a supervisor, and worker processes that it starts again when they end.

The supervisor reads catalogue and recommendations before it starts the others, so that a fault in
them is reported at once and in one line, and so that the processes share the memory until the first
new version.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkProcess

from prometheus_client.multiprocess import mark_process_dead

from botify.errors import StartError
from botify.event_log import adopt_segments, describe_log
from botify.http.app import Application
from botify.http.server import make_ssl_context, serve_http
from botify.model.model import Model
from botify.service import Service, load_configured, make_sessions
from botify.settings import Settings
from looplib.config import dump_config
from looplib.errors import UserError
from looplib.files import atomic_write_text

EFFECTIVE_CONFIG = "botify.yaml"
_GARBAGE_THRESHOLD = 50_000  # new objects before a look for cycles
_HEALTHY_S = 10.0  # a worker that lived for so long is started again at once
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_PORT_WAIT_S = 2.0  # for workers of a killed service to leave the port

logger = logging.getLogger("botify")


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
    model = load_configured(settings)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    describe_log(settings.log_dir, model.catalogue, text_users=model.text_users)
    atomic_write_text(settings.log_dir / EFFECTIVE_CONFIG, dump_config(settings))
    if settings.redis_url:
        # fails at once where every worker would
        make_sessions(settings, model.catalogue.sha256)
    try:
        make_ssl_context(settings.http)
    except OSError as error:
        raise StartError(
            f"{settings.http.certificate}: cannot be used as a certificate ({error})"
        ) from None
    port = _find_port(settings)
    _announce(settings, model, port)
    life, held = os.pipe()  # read to its end by workers whose supervisor has died

    def run_worker() -> None:
        os.close(held)
        try:
            asyncio.run(_work(settings, model, _bind(settings, port, share=True), life))
        except (UserError, OSError) as error:
            logger.error("worker: %s", error)
            raise SystemExit(1) from None

    supervise(run_worker, settings.processes, settings.stop_grace_s)
    adopt_segments(settings.log_dir)  # of workers that had to be killed


def _announce(settings: Settings, model: Model, port: int) -> None:
    """Log where the service is, what it serves, to whom, and where its events go."""
    scheme = "https" if settings.http.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info(
        "%s://%s:%s, to read about it: %s://%s:%s/docs", *2 * (scheme, host, port)
    )
    lists, tracks = f"{len(model.recommendations.ids):,}", f"{len(model.catalogue):,}"
    logger.info(
        "version %s: lists of %s listeners, a catalogue of %s tracks",
        model.version,
        lists,
        tracks,
    )
    for experiment in settings.experiments:
        arms = ", ".join(
            f"{arm.name} {arm.recommender} {experiment.shares[arm.name]:.0%}"
            for arm in experiment.arms
        )
        decides = (
            " (picks the recommender)" if experiment.name == settings.decides else ""
        )
        logger.info("experiment %s%s: %s", experiment.name, decides, arms)
    logger.info("events are logged in %s", settings.log_dir)
    for note in settings.lacking(model):
        logger.warning("%s", note)


async def _work(
    settings: Settings, model: Model, listener: socket.socket, life: int
) -> None:
    """Serve in a worker process until a signal comes, or the supervisor is gone."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(life, stop.set)
    service = Service(settings, model)
    # What was loaded stays; looking through it for garbage again and again would hold up requests.
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    try:
        await serve_http(
            Application(service), settings, listener, stop, settings.stop_grace_s / 2
        )
    finally:
        service.close()


@dataclass
class _Worker:
    """A slot for a worker process, and when the next one may start in it."""

    process: ForkProcess | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    quick_ends: int = 0  # of processes in a row that did not live long

    def start(self, run: Callable[[], None]) -> None:
        self.process = multiprocessing.get_context("fork").Process(target=run)
        self.process.start()
        self.started_s = time.monotonic()

    def check(self) -> None:
        """Plan the next start if the process has ended: at once, or after a growing pause if it ends often."""
        if self.process is None or self.process.is_alive():
            return
        lived_s = time.monotonic() - self.started_s
        self.quick_ends = 0 if lived_s > _HEALTHY_S else self.quick_ends + 1
        pause_s = (
            min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self.quick_ends - 2))
            if self.quick_ends > 1
            else 0.0
        )
        self.due_s = time.monotonic() + pause_s
        mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]  # it has no annotations
        logger.error(
            "worker %s ended after %.1f s (exit code %s); the next one starts in %.1f s",
            *(self.process.pid, lived_s, self.process.exitcode, pause_s),
        )
        self.process = None


def supervise(run: Callable[[], None], count: int, grace_s: float) -> None:
    """Keep worker processes running until SIGTERM or SIGINT, then stop them, and kill them after `grace_s`."""
    woken, wake = os.pipe2(os.O_NONBLOCK)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)

    def run_worker() -> None:
        signal.set_wakeup_fd(-1)
        run()

    workers = [_Worker() for _ in range(count)]
    received: set[int] = set()
    while not received & {signal.SIGTERM, signal.SIGINT}:
        for worker in workers:
            worker.check()
            if worker.process is None and worker.due_s <= time.monotonic():
                worker.start(run_worker)
        pauses = [
            worker.due_s - time.monotonic()
            for worker in workers
            if worker.process is None
        ]
        if select.select([woken], [], [], max(0.0, min(pauses)) if pauses else None)[0]:
            received.update(os.read(woken, 4096))
    processes, deadline = (
        [worker.process for worker in workers if worker.process],
        time.monotonic() + grace_s,
    )
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            logger.error(
                "worker %s does not stop within %s s: killed", process.pid, grace_s
            )
            process.kill()
            process.join()


def _find_port(settings: Settings) -> int:
    """Return the port, failing where another program listens: workers would share it."""
    deadline = time.monotonic() + _PORT_WAIT_S
    while True:
        try:
            with _bind(settings, settings.port) as probe:
                return int(probe.getsockname()[1])
        except OSError as error:
            if time.monotonic() > deadline:
                address = f"{settings.host}:{settings.port}"
                raise StartError(
                    f"{address}: cannot be listened on ({error.strerror})"
                ) from None
        time.sleep(0.1)


def _bind(settings: Settings, port: int, *, share: bool = False) -> socket.socket:
    """Bind a socket; the kernel spreads connections over workers that share a port."""
    made = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, share)
    try:
        made.bind((settings.host, port))
    except OSError:
        made.close()
        raise
    return made
