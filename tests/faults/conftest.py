"""The Redis of the service's tests, a published version, and the world of the simulator's."""

from pathlib import Path

import pytest

from tests.botify.conftest import own_redis, redis_url
from tests.faults.served import Published, publish_first
from tests.recsys.conftest import s3
from tests.sim.conftest import demo_folder, demo_world

__all__ = ["demo_folder", "demo_world", "own_redis", "redis_url", "s3"]


@pytest.fixture(scope="module")
def published(folder: Path) -> Published:
    """A folder with one published version, for the tests of a file."""
    return publish_first(folder)
