"""A server of S3 on this machine, and the environment of processes that use it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.commands import run_module
from tests.programs import free_port
from tests.recsys.by_hand import processes
from tests.waiting import wait_until

BUCKET = "music"
# The server looks whether there is a signature, not at it.
ANYBODY = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True)
class S3:
    """A server with an empty bucket.

    Attributes:
        endpoint: Its address.
        folder: Where processes that use it may leave something.
    """

    endpoint: str
    folder: Path

    def environment(self, scratch: str = "scratch") -> Mapping[str, str]:
        """Return the environment of a process that uses it, with a scratch folder of that name."""
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "LISTENING_LOOP_SCRATCH": str(self.folder / scratch),
        }

    def run(
        self, module: str, *argv: str, scratch: str = "scratch"
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python -m` to its end."""
        return run_module(module, argv, self.environment(scratch))

    def get(self, key: str) -> bytes | None:
        """Return an object of the bucket, if it is there."""
        status, content = self._ask("GET", f"/{BUCKET}/{key}")
        return content if status == 200 else None

    def expire_lock(self, folder: str) -> None:
        """Delete the lock of a folder, as if its holder had been silent for long."""
        assert self._ask("DELETE", f"/{BUCKET}/{folder}/.lock")[0] == 204

    def make_bucket(self) -> None:
        """Make the bucket."""
        assert self._ask("PUT", f"/{BUCKET}")[0] == 200

    def answers(self) -> bool:
        """Check that the server runs."""
        try:
            return self._ask("GET", "/")[0] == 200
        except OSError:
            return False

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self.endpoint.removeprefix("http://"), timeout=60)
        try:
            connection.request(method, path, headers={"Authorization": ANYBODY})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def server(folder: Path) -> Iterator[S3]:
    """Start a server with an empty bucket; both end with the block."""
    port = free_port()
    there = S3(f"http://127.0.0.1:{port}", folder)
    with processes() as start:
        process = start(
            sys.executable, "-m", "moto.server", "-p", str(port), cwd=folder
        )
        wait_until(there.answers, "the server", [process])
        there.make_bucket()
        yield there
