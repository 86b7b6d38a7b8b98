"""What tests of searches share."""

from collections.abc import Iterator

import pytest

from tests.recsys.in_process import without_processes


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
