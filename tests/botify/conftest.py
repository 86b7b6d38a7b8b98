from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from botify import limits
from botify.service import Service, load_configured
from tests.botify.client import client_of
from tests.botify.exports import make_settings, publish, random_lists, write_catalogue
from tests.botify.redis_server import RedisServer, shared_server

MakeService = Callable[..., Service]
LIMIT = 50  # largest batch


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the URL of a Redis that all tests share, each with listeners of its own."""
    return shared_server().url


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start a Redis that a test may stop and start again."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Make services of a small model with any settings; they are closed after the test."""
    with ExitStack() as stack:

        def make(*, tracks: int = 40, **settings: Any) -> Service:  # noqa: ANN401  any setting
            catalogue = write_catalogue(
                tmp_path / "tracks.json", [track // 5 for track in range(tracks)]
            )
            publish(tmp_path, "one", random_lists(20, tracks), catalogue=catalogue)
            service = start_service(tmp_path, catalogue, **settings)
            return stack.enter_context(closing(service))

        yield make


@pytest.fixture
def service(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Start a service of two experiments, with small batches."""
    monkeypatch.setattr(limits, "BATCH", LIMIT)
    arms = [{"recommender": "indexed"}, {"recommender": "sticky_artist"}]
    return make_service(
        tracks=300,
        admin_token="secret",  # noqa: S106  of a service that only this test knows
        experiments=[
            {"name": "ONE", "arms": arms, "overrides": {3: "T1", 4: "C"}},
            {"name": "OTHER", "arms": [{"name": "on", "recommender": "random"}]},
        ],
    )


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return client_of(service)


def start_service(root: Path, catalogue: Path, **settings: Any) -> Service:  # noqa: ANN401  any setting
    """Start a service of the version that a folder publishes."""
    found = make_settings(root, catalogue, **settings)
    return Service(found, load_configured(found))
