"""The browser of the tests, and a published version."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.faults.conftest import published
from tests.programs import need

__all__ = ["browser", "published"]

TIMEOUT_MS = 60_000
FOREIGN = "evil.example"  # a name of an attacker, which leads to this machine


# no longer: while it is open its event loop runs, and no other test can start one
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = need("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"],
            timeout=TIMEOUT_MS,
        )
        yield chromium
        chromium.close()
