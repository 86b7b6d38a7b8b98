"""What tests of searches share."""

from collections.abc import Iterator

import pytest

from tests.recsys.in_process import without_processes


@pytest.fixture(scope="module")
def no_processes() -> Iterator[None]:
    """Searches and exports of the file run their calls in the test's own process."""
    with without_processes():
        yield


@pytest.fixture(scope="module")
def no_reports() -> Iterator[None]:
    """Searches of the file write no report: what is in it is claimed of the report, and its charts
    take most time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.search.__main__.write_report", lambda _run: None)
        yield
