"""Ten thousand malformed requests: none gives a 5xx, none is logged."""

import random as python_random
from collections import Counter

import pytest
from werkzeug.test import Client

from botify.service import Service
from tests.botify.client import client_of
from tests.botify.conftest import MakeService
from tests.botify.malformed import WRONG_PATHS, malformed_bodies

TRACKS, REQUESTS = 40, 10_000


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(tracks=TRACKS)


def test_ten_thousand_malformed_requests_give_no_5xx_and_no_event(service: Service) -> None:
    client = client_of(service)
    rng = python_random.Random(7)  # noqa: S311  which damage, not a secret
    statuses: Counter[int] = Counter()
    for (path, body), _ in zip(malformed_bodies(rng, TRACKS), range(REQUESTS), strict=False):
        answer = client.post(path, data=body)
        statuses[answer.status_code] += 1
        assert answer.status_code == 400, (path, body[:200], answer.data)
        assert answer.json is not None
        assert answer.json["error"]
    assert statuses.total() == REQUESTS
    _nothing_logged(service)


def test_wrong_addresses_and_methods_give_no_5xx_and_no_event(service: Service) -> None:
    client: Client = client_of(service)
    for path in WRONG_PATHS:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = client.open(path, method=method, data=b'{"track":1,"time":0.5}')
            assert 300 <= answer.status_code < 500, path
    _nothing_logged(service)


def _nothing_logged(service: Service) -> None:
    service.close()
    assert list(service.settings.log_dir.iterdir()) == []
