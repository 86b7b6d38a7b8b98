"""What goes wrong at an address is one line that names it; against a server of S3."""

import pytest

from tests.programs import free_port, http_server, run_python
from tests.recsys.s3 import S3

pytestmark = pytest.mark.slow
# Asks for a file in one environment after the other, in one process: importing s3fs is slow.
ASK = """
import os
import sys
import s3fs
from fsspec.asyn import get_loop
from recsys.errors import StorageError
from recsys.storage import open_workspace

def ask(address, **changes):
    s3fs.S3FileSystem.clear_instance_cache()
    kept = dict(os.environ)
    os.environ.update({key: value for key, value in changes.items() if value})
    for key in [key for key, value in changes.items() if not value]:
        del os.environ[key]
    try:
        print(open_workspace(address).read("file"))
    except StorageError as error:
        print(error)
    os.environ.clear()
    os.environ.update(kept)

nowhere, refusing = sys.argv[1:]
ask("s3://music/here")
ask("s3://no-such-bucket/here")
ask("s3://music/here", AWS_ENDPOINT_URL=nowhere)
ask("s3://music/here", AWS_ENDPOINT_URL=refusing)
ask("s3://music/here", AWS_ACCESS_KEY_ID="", AWS_EC2_METADATA_DISABLED="true", HOME="/nowhere")
for error in (ConnectionResetError("lost"), ValueError("a bug")):
    get_loop().call_exception_handler({"message": "never retrieved", "exception": error})
"""


def test_what_a_server_may_do_is_one_line_each(s3: S3) -> None:
    with http_server(403) as port:  # no credentials are good enough
        addresses = (f"http://127.0.0.1:{number}" for number in (free_port(), port))
        done = run_python("-c", ASK, *addresses, env=s3.environment())
    assert done.returncode == 0, done.stderr
    nothing, bucket, lost, refused, anonymous = done.stdout.splitlines()
    assert nothing == "None"
    assert bucket.startswith(
        "s3://no-such-bucket/here/file: The specified bucket does not exist"
    )
    assert "Could not connect to the endpoint URL" in lost
    assert "Unable to locate credentials" in anonymous
    for line in (lost, refused, anonymous):
        assert "are address and credentials right (for S3: AWS_ENDPOINT_URL" in line
    assert "lost" not in done.stderr  # a connection that is lost behind a call
    assert "a bug" in done.stderr
