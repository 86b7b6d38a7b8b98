"""What tests of searches share."""

from collections.abc import Iterator

import pytest

from tests.recsys.in_process import without_processes


@pytest.fixture(scope="module")
def no_processes() -> Iterator[None]:
    """Searches and exports of the file run their calls in the test's own process."""
    with without_processes():
        yield
