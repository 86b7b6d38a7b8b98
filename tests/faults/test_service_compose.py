"""The compose file's topology as plain processes: nginx, two recommenders, one Redis."""

import http.client
import re
import ssl
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.nginx import CONFIGURATION, nginx
from tests.faults.served import (
    TIMEOUT_S,
    Load,
    Published,
    Served,
    connect,
    logged_answers,
    serve,
)
from tests.programs import free_port, need
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_two_recommenders_share_load_sessions_and_log_and_one_may_leave(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    log = tmp_path / "log"
    with (
        serve(published, log, redis_url=redis_url) as first,
        serve(published, log, redis_url=redis_url) as second,
        nginx(tmp_path, [first.port, second.port]) as front,
    ):
        with Load(front.port, clients=4) as load:
            wait_until(lambda: min(map(count_events, (first, second))) > 50, "a share")
            outside = Served(published, log)
            outside.port = front.port
            track = 0
            heard = {track}
            for _ in range(25):
                body = {"track": track, "time": 0.5}
                track = outside.ask("POST", "/next/9999", body)[1]["track"]
                assert track not in heard, "one replica knows what the other heard"
                heard.add(track)
            assert outside.ask("GET", "/metrics")[0] == 404, "of one replica alone"
            assert outside.ask("DELETE", "/listeners/7")[0] == 404
            for name, status in (("localhost", 200), ("evil.example", 403)):
                with closing(connect(front.port)) as connection:
                    connection.request("GET", "/", headers={"Host": name})
                    assert connection.getresponse().status == status
            assert first.stop() == 0
            load.wait_for(500)
        assert set(load.statuses) == {200}, "nobody notices that one has left"
        assert load.broken == []
        assert second.stop() == 0
    logged = logged_answers(log)
    assert not Counter(load.answers) - logged
    assert logged.total() == len(load.answers) + 25


def count_events(replica: Served) -> float:
    metrics = replica.ask("GET", "/metrics")[1]
    (count,) = re.findall(r'^botify_events_total{message="next"} (.*)', metrics, re.M)
    return float(count)


def test_nginx_speaks_tls_asks_for_keys_and_limits_what_an_address_may(
    tmp_path: Path,
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    argv = [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    (client_key,) = re.findall(r'"(.*)" player;', CONFIGURATION.read_text())
    slow = {"2000r/s": "1r/m", "burst=4000": "burst=2"}

    with nginx(tmp_path, [free_port()], "tls|key", slow) as front:

        def ask(**headers: str) -> int:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", front.tls_port, timeout=TIMEOUT_S, context=context
            )
            with closing(connection):
                connection.request("POST", "/next/7", "{}", headers)
                answer = connection.getresponse()
                assert (b'"error"' in answer.read()) == (answer.status in (401, 429))
                return answer.status

        assert [ask(), ask(**{"X-Api-Key": "another"})] == [401, 401]
        statuses = [ask(**{"X-Api-Key": client_key}) for _ in range(4)]
    assert statuses == [502, 502, 502, 429], "nobody recommends here"
