"""The browser of the tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.programs import need

TIMEOUT_MS = 60_000


# no longer: while it is open its event loop runs, and no other test can start one
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = need("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=TIMEOUT_MS
        )
        yield chromium
        chromium.close()
