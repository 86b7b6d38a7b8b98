"""The service as a process of its own, load on it, and its event log read back."""

import http.client
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import psutil

from analysis.logs.lines import parse_line
from botify.event_log import adopt_segments
from tests.botify.exports import publish, write_catalogue
from tests.programs import free_port, kill_all
from tests.waiting import wait_until

LISTENERS, TRACKS, LENGTH = 2000, 3000, 30
TIMEOUT_S = 60

Lists = dict[int, list[int]]
Limits = Mapping[str, float]
"""Values of `botify.limits` by name."""
# A disk that others use takes its time over an fsync, and so does a Redis on a busy machine.
PATIENT: Limits = {"REDIS_S": 30, "STOP_S": 60}
PROGRAM = """
import json, runpy, sys
from botify import limits
vars(limits).update(json.loads(sys.argv.pop(1)))
runpy.run_module("botify", run_name="__main__", alter_sys=True)
"""
# Larger with each request of this process, so that no two requests of a listener share one.
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Published:
    """A folder with a catalogue and published versions, as the export leaves it."""

    folder: Path

    @property
    def catalogue(self) -> Path:
        return self.folder / "tracks.json"

    @property
    def recommendations(self) -> Path:
        return self.folder / "current" / "recommendations.jsonl"

    def publish(self, version: str, first: int = 0, last: int = TRACKS) -> Lists:
        """Publish a version whose lists hold tracks first..last-1 as the current one."""
        rng = np.random.default_rng(len(version) + first)
        lists = {
            user: rng.permutation(np.arange(first, last))[:LENGTH].tolist()
            for user in range(LISTENERS)
        }
        day = len(list((self.folder / "versions").glob("*")))
        publish(self.folder, version, lists, catalogue=self.catalogue, day=day)
        return lists


def publish_first(folder: Path) -> Published:
    """Write a catalogue, and publish the version `one`."""
    published = Published(folder)
    write_catalogue(published.catalogue, [track % 300 for track in range(TRACKS)])
    published.publish("one")
    return published


class Served:
    """A running service."""

    def __init__(
        self,
        published: Published,
        log: Path,
        *,
        prefix: Sequence[str] = (),
        limits: Limits | None = None,
        **settings: object,
    ) -> None:
        """Write its configuration.

        Args:
            published: What it serves.
            log: The folder of its event log.
            prefix: Words before its command line, such as another program.
            limits: Limits beside those of `PATIENT`.
            settings: Of the service.
        """
        self.log, self.port = log, free_port()
        config = log.parent / f"{log.name}-{self.port}.yaml"
        arms = [{"name": "C", "recommender": "indexed"}]
        document = {
            "catalogue": str(published.catalogue),
            "recommendations": str(published.recommendations),
            "log_dir": str(log),
            "port": self.port,
            "hosts": ["botify", "x"],
            "admin_token": "secret",
            "experiments": [{"name": "ALL", "arms": arms}],
            **settings,
        }
        config.write_bytes(orjson.dumps(document))  # JSON is YAML
        changed = orjson.dumps({**PATIENT, **(limits or {})}).decode()
        program = [sys.executable, "-c", PROGRAM, changed, "--config", str(config)]
        self._argv = [*prefix, *program]
        self.errors = config.with_suffix(".stderr")
        self.process: subprocess.Popen[str]

    def start(self) -> Self:
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                self._argv, stderr=errors, text=True, start_new_session=True
            )
        wait_until(self._lives, f"the service to start: {self.errors}")
        return self

    def _lives(self) -> bool:
        assert self.process.poll() is None, self.errors.read_text()
        return self._is_200("/health/live")

    def is_ready(self) -> bool:
        return self._is_200("/health/ready")

    def _is_200(self, path: str) -> bool:
        try:
            return self.ask("GET", path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def workers(self) -> list[psutil.Process]:
        master = psutil.Process(self.process.pid)
        children: list[psutil.Process] = master.children(recursive=True)
        return children

    def wait_for_workers(self, count: int) -> int:
        """Ask over one connection after the other until so many workers have logged an event.

        Returns:
            How many events that took, each of which ends a session.
        """
        asked = itertools.count()

        def are_at_work() -> bool:
            body = {"track": 1, "time": 0.5}
            assert self.ask("POST", f"/last/{LISTENERS + next(asked)}", body)[0] == 200
            return sum(map(_is_at_work, self.workers())) == count

        wait_until(are_at_work, f"{count} workers")
        return next(asked)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request, and return the status and the body, parsed where it is JSON."""
        headers = {"Authorization": "Bearer secret"}
        content = None if body is None else orjson.dumps(body)
        with closing(connect(self.port)) as connection:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read()
        is_json = text.startswith(b"{")
        return answer.status, orjson.loads(text) if is_json else text.decode()

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=120)

    def kill(self) -> None:
        """Kill all its processes that are left."""
        if self.process.poll() is None:
            kill_all(self.process)


def _is_at_work(worker: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it ends meanwhile
        return any("/.events-" in file.path for file in worker.open_files())
    return False


@contextmanager
def serve(published: Published, log: Path, **options: Any) -> Iterator[Served]:  # noqa: ANN401  any setting
    """Run a service for the block, with the options of `Served`."""
    served = Served(published, log, **options)
    try:
        yield served.start()
    finally:
        served.kill()


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)


@dataclass(frozen=True)
class Answer:
    """A request for the next track that was answered with 200."""

    user: int
    request: int | None  # its number
    recommendation: int


@dataclass
class Load:
    """Clients whose listeners ask in turn; each request is sent again until it is answered."""

    port: int
    clients: int
    answers: list[Answer] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  # why there was no answer

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[client])
            for client in range(self.clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=TIMEOUT_S)

    def wait_for(self, count: int) -> None:
        """Wait for so many more answers."""
        goal = len(self.answers) + count
        wait_until(
            lambda: len(self.answers) >= goal,
            f"{count} more answers; {self.statuses}, {self.broken[-3:]}",
        )

    def _run(self, client: int) -> None:
        users = range(client, LISTENERS, self.clients)
        with closing(connect(self.port)) as connection:
            for user in itertools.cycle(users):
                number = next(_NUMBERS)
                while not self._is_answered(connection, user, number):
                    if self._stop.is_set():
                        return
                if self._stop.is_set():
                    return

    def _is_answered(
        self, connection: http.client.HTTPConnection, user: int, number: int
    ) -> bool:
        body = {"track": number % TRACKS, "time": 0.5, "request": number}
        try:
            connection.request("POST", f"/next/{user}", orjson.dumps(body))
            with connection.getresponse() as answer:
                text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(repr(error))
            connection.close()
            time.sleep(0.02)
            return False
        self.statuses[answer.status] += 1
        if answer.status != 200:
            return False
        track = orjson.loads(text)["track"]
        self.answers.append(Answer(user, number, track))
        return True


def read_events(log: Path) -> list[Any]:
    """Read every event of a log whose writers are gone; a line that is none fails."""
    adopt_segments(log)
    assert not list(log.glob(".events-*"))
    return [
        parse_line(line)
        for path in sorted(log.glob("events-*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def logged_answers(log: Path) -> Counter[Answer]:
    return Counter(
        Answer(event.user, event.request, event.recommendation)
        for event in read_events(log)
        if event.recommendation is not None
    )


def assert_all_logged(load: Load, log: Path) -> None:
    """Check that every acknowledged event is in the log, with what was answered."""
    missing = Counter(load.answers) - logged_answers(log)
    assert not missing, f"{missing.total()} of {len(load.answers)} are not in the log"
