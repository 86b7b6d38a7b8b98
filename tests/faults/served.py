"""The service as a process of its own, load on it, and its event log read back."""

import http.client
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import psutil

from analysis.logs.lines import parse_line
from botify.event_log import adopt_segments
from tests.botify.exports import publish, write_catalogue
from tests.programs import free_port
from tests.waiting import wait_until

LISTENERS, TRACKS, LENGTH = 2000, 3000, 30

Lists = dict[int, list[int]]


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
        earlier = len(list((self.folder / "versions").glob("*")))
        publish(
            self.folder,
            version,
            lists,
            catalogue=self.catalogue,
            day=earlier,
        )
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
        **settings: object,
    ) -> None:
        self.log, self.port, self._prefix = log, free_port(), prefix
        self._config = log.parent / f"{log.name}-{self.port}.yaml"
        document = {
            "catalogue": str(published.catalogue),
            "recommendations": str(published.recommendations),
            "log_dir": str(log),
            "port": self.port,
            "admin_token": "secret",
            "experiments": [
                {"name": "ALL", "arms": [{"name": "C", "recommender": "indexed"}]}
            ],
            "redis_timeout_s": 30,
            "stop_grace_s": 60,  # a disk that others use takes its time over an fsync
            **settings,
        }
        self._config.write_bytes(orjson.dumps(document))  # JSON is YAML
        self.process: subprocess.Popen[str]

    @property
    def argv(self) -> list[str]:
        return [
            *self._prefix,
            sys.executable,
            "-m",
            "botify",
            "--config",
            str(self._config),
        ]

    def start(self) -> Self:
        self.errors = self._config.with_suffix(".stderr")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                self.argv, stderr=errors, text=True, start_new_session=True
            )
        wait_until(self._lives, f"the service to start: {self.errors}")
        return self

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            return self.ask("GET", "/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def workers(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(
            recursive=True
        )
        return children

    def _lives(self) -> bool:
        assert self.process.poll() is None, self.errors.read_text()
        try:
            return self.ask("GET", "/health/live")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": "Bearer secret"}
            connection.request(
                method, path, None if body is None else orjson.dumps(body), headers
            )
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, orjson.loads(text) if text.startswith(
                b"{"
            ) else text.decode()
        finally:
            connection.close()

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=120)

    def kill(self) -> None:
        """Kill all its processes that are left."""
        if self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        for worker in workers:
            worker.kill()
        self.process.wait(timeout=30)
        psutil.wait_procs(workers, timeout=30)


@contextmanager
def serve(
    published: Published, log: Path, *, prefix: Sequence[str] = (), **settings: object
) -> Iterator[Served]:
    served = Served(published, log, prefix=prefix, **settings)
    try:
        yield served.start()
    finally:
        served.kill()


@dataclass(frozen=True)
class Answer:
    """A request for the next track that was answered with 200."""

    user: int
    track: int
    time: float
    recommendation: int


@dataclass
class Load:
    """Listeners that ask again and again over kept connections; times identify events."""

    port: int
    users: Sequence[Sequence[int]]  # of each client, in turn
    answers: list[Answer] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(
        default_factory=list
    )  # requests without an answer, and why

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[client])
            for client in range(len(self.users))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def wait_for(self, count: int) -> None:
        goal = len(self.answers) + count
        wait_until(
            lambda: len(self.answers) >= goal,
            f"{count} more answers; {self.statuses}, {self.broken[-3:]}",
        )

    def _run(self, client: int) -> None:
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        ) as connection:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                self._ask(connection, client, number)

    def _ask(
        self, connection: http.client.HTTPConnection, client: int, number: int
    ) -> None:
        users = self.users[client]
        user, track = users[number % len(users)], number % TRACKS
        time_ = ((number * len(self.users) + client) % 10**7) / 10**7
        try:
            connection.request(
                "POST", f"/next/{user}", orjson.dumps({"track": track, "time": time_})
            )
            with connection.getresponse() as answer:
                status, body = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(repr(error))
            connection.close()
            time.sleep(0.02)
            return
        self.statuses[status] += 1
        if status == 200:
            self.answers.append(Answer(user, track, time_, orjson.loads(body)["track"]))


def clients(count: int) -> list[list[int]]:
    """Divide all listeners among clients, so that no session grows long."""
    return [list(range(client, LISTENERS, count)) for client in range(count)]


def read_events(log: Path) -> list[Any]:
    """Read every event of a log whose writers are gone; a line that is none fails."""
    adopt_segments(log)
    assert not list(log.glob(".events-*"))
    lines = [
        line
        for path in sorted(log.glob("events-*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    return [parse_line(line) for line in lines]


def logged_answers(log: Path) -> Counter[Answer]:
    events = [event for event in read_events(log) if event.message == "next"]
    return Counter(
        Answer(event.user, event.track, event.time, event.recommendation)
        for event in events
        if event.recommendation is not None
    )


def assert_all_logged(load: Load, log: Path) -> None:
    """Check that every acknowledged event is in the log, with what was answered."""
    missing = Counter(load.answers) - logged_answers(log)
    assert not missing, (
        f"{missing.total()} of {len(load.answers)} acknowledged events are not in the log"
    )


@dataclass
class Insistent:
    """A listener that sends each of its requests, by number, until it is answered."""

    port: int
    user: int
    count: int
    answers: dict[int, int] = field(default_factory=dict)
    # after the request that is under way
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        ) as connection:
            for number in range(self.count):
                if self.stop.is_set():
                    return
                body = orjson.dumps(
                    {"track": number % TRACKS, "time": 0.5, "request": number}
                )
                while number not in self.answers:
                    try:
                        connection.request("POST", f"/next/{self.user}", body)
                        with connection.getresponse() as answer:
                            text = answer.read()
                    except (OSError, http.client.HTTPException):
                        connection.close()
                        time.sleep(0.02)
                        continue
                    if answer.status == 200:
                        self.answers[number] = orjson.loads(text)["track"]


def assert_each_logged(listeners: Sequence[Insistent], log: Path) -> None:
    """Check that each answered request is in the log by its number, as it was answered."""
    adopt_segments(log)
    logged = set()
    for path in log.glob("events-*.jsonl"):
        for line in path.read_bytes().splitlines():
            event = orjson.loads(line)
            logged.add((event["user"], event["request"], event["recommendation"]))
    answered = {
        (listener.user, number, track)
        for listener in listeners
        for number, track in listener.answers.items()
    }
    assert answered <= logged
