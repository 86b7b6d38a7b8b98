"""What can go wrong with an address is one line; against a server of S3 where it can be."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recsys import storage
from recsys.errors import StorageError
from tests.programs import free_port
from tests.recsys.logs import random_sessions, write_log
from tests.recsys.s3 import BUCKET, S3, server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with server(tmp_path_factory.mktemp("s3")) as there:
        yield there


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(
        tmp_path_factory.mktemp("log") / "events.jsonl", random_sessions(5, listeners=20, tracks=30, sessions=50)
    )


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "error:" in line)
    return line


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_objects_come_back_as_they_were_put(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://{tmp_path}/there"
    assert storage.read(f"{url}/a") is None
    assert storage.version(f"{url}/a") is None
    assert dict(storage.sizes(url)) == {}
    storage.write(f"{url}/a", b"one")
    storage.write(f"{url}/b/c", b"three")
    assert storage.read(f"{url}/a") == b"one"
    assert dict(storage.sizes(url)) == {"a": 3, "b/c": 5}
    assert storage.create(f"{url}/d", b"first")
    assert not storage.create(f"{url}/d", b"second")
    assert storage.read(f"{url}/d") == b"first"
    storage.move(f"{url}/a", f"{url}/moved/a")
    storage.remove(f"{url}/d")
    storage.remove(f"{url}/d")
    assert dict(storage.sizes(url)) == {"b/c": 5, "moved/a": 3}
    storage.remove_below(url)
    storage.remove_below(url)
    assert dict(storage.sizes(url)) == {}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket/store", r"package that reads gs:// is missing; pip install gcsfs"),
        ("nowhere://bucket/store", r"nobody knows nowhere://; .* such as s3://bucket/folder"),
    ],
)
def test_a_scheme_without_its_package_is_told_of(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as if it were not installed
    with pytest.raises(StorageError, match=said):
        storage.read(url)


def test_a_bucket_that_is_not_there_is_one_line(s3: S3, log: Path) -> None:
    line = refusal(s3.run("recsys.ingest", str(log), "--store", "s3://no-such-bucket/store"))
    assert "error: s3://no-such-bucket/store" in line
    assert "there is no bucket no-such-bucket" in line
    config = s3.folder / "config.yaml"
    config.write_text("store: s3://no-such-bucket/store\nrun: s3://no-such-bucket/run\n")
    assert "there is no bucket no-such-bucket" in refusal(s3.run("recsys.search", "--config", str(config)))


def test_a_store_that_is_not_there_is_one_line(s3: S3) -> None:
    config = s3.folder / "empty.yaml"
    config.write_text(f"store: s3://{BUCKET}/none\nrun: s3://{BUCKET}/run\n")
    line = refusal(s3.run("recsys.search", "--config", str(config)))
    assert f"s3://{BUCKET}/none: no session store here" in line
    assert f"s3://{BUCKET}/none-run: no finished run here" in refusal(
        s3.run("recsys.export", "--run", f"s3://{BUCKET}/none-run", "--out", str(s3.folder / "out"))
    )


def test_a_server_that_is_not_there_is_one_line(s3: S3, log: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    line = refusal(s3.run("recsys.ingest", str(log), "--store", "s3://music/store", endpoint=endpoint))
    assert "Could not connect to the endpoint URL" in line
    assert "does its server run, and is the address right (of S3 AWS_ENDPOINT_URL)?" in line


class Refusing(BaseHTTPRequestHandler):
    """A server to whom no credentials are good enough."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as there:
        thread = threading.Thread(target=there.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{there.server_port}"
        there.shutdown()
        thread.join()


def test_a_connection_lost_behind_a_call_shows_no_traceback(s3: S3) -> None:
    script = (
        "from fsspec.asyn import get_loop\n"
        "from recsys import storage\n"
        f"storage.read('s3://{BUCKET}/nothing')\n"
        "for error in (ConnectionResetError('lost'), ValueError('a bug')):\n"
        "    get_loop().call_exception_handler({'message': 'never retrieved', 'exception': error})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=s3.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "lost" not in done.stderr
    assert "a bug" in done.stderr


def test_credentials_that_are_refused_are_one_line(s3: S3, log: Path) -> None:
    with refusing() as endpoint:
        line = refusal(s3.run("recsys.ingest", str(log), "--store", "s3://music/store", endpoint=endpoint))
    assert "is refused (" in line
    assert "are the credentials right, and may they read and write?" in line


def test_no_credentials_are_one_line(s3: S3, log: Path) -> None:
    environment = {
        **{key: value for key, value in s3.environment().items() if key not in ("AWS_ACCESS_KEY_ID",)},
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(s3.folder),
    }
    argv = [sys.executable, "-m", "recsys.ingest", str(log), "--store", "s3://music/store"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=200)
    assert "set them, of S3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws" in refusal(done)


def test_an_ingest_is_whole_idempotent_and_alone(s3: S3, log: Path, tmp_path: Path) -> None:
    store = f"s3://{BUCKET}/ingested"
    done = s3.run("recsys.ingest", str(log), "--store", store, "--buckets", "2")
    assert done.returncode == 0, done.stderr
    first = s3.get("ingested/manifest.json")
    assert first is not None
    assert b'"sha256"' in first
    again = s3.run("recsys.ingest", str(log), "--store", store, scratch="another machine's")
    assert "its content is in the store already" in again.stdout
    assert s3.get("ingested/manifest.json") == first
    s3.put("ingested/bucket=001/part-left-by-a-killed-one.parquet", b"half")
    more = write_log(tmp_path / "more.jsonl", random_sessions(6, listeners=20, tracks=30, sessions=5))
    assert s3.run("recsys.ingest", str(more), "--store", store, scratch="a third").returncode == 0
    assert "ingested/bucket=001/part-left-by-a-killed-one.parquet" not in s3.keys("ingested/")
    assert not [key for key in s3.keys("ingested/") if ".lock" in key]
    whole = s3.run("recsys.ingest", str(log), str(more), "--store", str(tmp_path / "local"), "--buckets", "2")
    assert whole.returncode == 0, whole.stderr
    assert digest_of(whole.stdout) == digest_of(s3.run("recsys.ingest", str(more), "--store", store).stdout)


def digest_of(said: str) -> str:
    return said.rpartition("digest ")[2].split()[0]


def test_a_part_that_is_gone_or_damaged_is_one_line(s3: S3, log: Path) -> None:
    store = f"s3://{BUCKET}/damaged"
    assert s3.run("recsys.ingest", str(log), "--store", store, "--buckets", "1").returncode == 0
    config = s3.folder / "damaged.yaml"
    config.write_text(f"store: {store}\nrun: s3://{BUCKET}/damaged-run\ncluster: {{workers: 1}}\n")
    (key,) = (key for key in s3.keys("damaged/bucket") if key.endswith(".parquet"))
    part = s3.get(key)
    assert part is not None
    s3.put(key, part[:-1])
    assert f"the manifest says {len(part):,} bytes, found {len(part) - 1:,}" in refusal(
        s3.run("recsys.search", "--config", str(config), scratch="fresh")
    )
    s3.put(key, os.urandom(len(part)))
    line = refusal(s3.run("recsys.search", "--config", str(config), scratch="fresh"))
    assert "was put there, and" in line
