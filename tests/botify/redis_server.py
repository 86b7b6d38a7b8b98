"""Redis servers for tests: one that all tests of a process share, and others to be stopped."""

import atexit
import functools
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import redis

from tests.programs import free_port, need
from tests.waiting import wait_until


class RedisServer:
    """A `redis-server` on a free port; keeps nothing on the disk."""

    def __init__(self, folder: Path) -> None:
        self._program, self._folder = need("redis-server"), folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = f"--port {self.port} --bind 127.0.0.1 --appendonly no".split()
        argv = [self._program, *words, "--dir", str(self._folder), "--save", ""]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "redis-server to answer", [self.process])

    def stop(self) -> None:
        """Stop it; everything in it is lost."""
        if self.process:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing is answered."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


@functools.cache
def shared_server() -> RedisServer:
    """Start the server that all tests of this process share; it stops with the process."""
    folder = tempfile.TemporaryDirectory(prefix="redis-of-tests-")
    server = RedisServer(Path(folder.name))
    server.start()
    atexit.register(folder.cleanup)
    atexit.register(server.stop)
    return server
