"""A server of S3, and searches without processes or reports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recsys.in_process import without_processes
from tests.recsys.s3 import S3, server


@pytest.fixture(scope="module")
def s3(folder: Path) -> Iterator[S3]:
    """Start a server of S3 for the tests of a file."""
    with server(folder) as there:
        yield there


@pytest.fixture(scope="module")
def no_processes() -> Iterator[None]:
    """Run the calls of searches and exports of the file in the test's own process."""
    with without_processes():
        yield


@pytest.fixture(scope="module")
def no_reports() -> Iterator[None]:
    """Let searches of the file write no report, which takes most time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.search.__main__.write_report", lambda _run: None)
        yield
