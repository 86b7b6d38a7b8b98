"""The compose file's topology as plain processes: nginx, two recommenders, one Redis."""

import datetime
import http.client
import ipaddress
import os
import re
import resource
import socket
import ssl
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.served import (
    Load,
    Served,
    clients,
    logged_answers,
    publish_first,
    serve,
)
from tests.programs import free_port, is_open, need
from tests.waiting import wait_until

BOTIFY = Path(__file__).parents[2] / "botify"


class Nginx:
    """nginx with the project's own configuration, in front of recommenders on this machine."""

    def __init__(
        self, folder: Path, recommenders: list[int], options: str = "none"
    ) -> None:
        """Take the lines of some options (`tls|key`) in."""
        self._program, self._folder = need("nginx"), folder
        self.port, self.tls_port = free_port(), free_port()
        self._file = folder / "nginx.conf"
        text = (BOTIFY / "nginx.conf").read_text()
        text = re.sub(rf"#({options}) ", "", text)
        (server,) = re.findall(r"server recommender:5001(.*;)", text)
        replicas = "\n".join(
            f"server 127.0.0.1:{port}{server}" for port in recommenders
        )
        text = text.replace(f"server recommender:5001{server}", replicas)
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{self.port} ")
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{self.tls_port} ")
        text = text.replace("/etc/nginx/certificates", str(folder))
        text = text.replace("auto;", "1;")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        self._file.write_text(text.replace("http {", f"http {{\n{folders}"))

    @property
    def argv(self) -> list[str]:
        settings = f"pid {self._folder}/nginx.pid; error_log stderr; daemon off;"
        return [
            self._program,
            "-e",
            "stderr",
            "-p",
            str(self._folder),
            "-c",
            str(self._file),
            "-g",
            settings,
        ]

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.argv, "-t"], capture_output=True, text=True, timeout=30, check=False
        )

    def start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "stderr").open("wb") as errors:
            return subprocess.Popen(self.argv, stderr=errors)


@pytest.fixture
def services(tmp_path: Path, redis_url: str) -> Iterator[tuple[list[Served], Served]]:
    """Start two recommenders, and an nginx in front of them."""
    published, log = publish_first(tmp_path / "published"), tmp_path / "log"
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(serve(published, log, redis_url=redis_url))
            for _ in range(2)
        ]
        nginx = Nginx(tmp_path, [replica.port for replica in replicas])
        process = nginx.start()
        stack.callback(process.wait, timeout=60)
        stack.callback(process.terminate)
        front = Served(published, log)
        front.port, front.process = nginx.port, replicas[0].process
        wait_until(lambda: front.answers(), "nginx to answer")
        yield replicas, front


def test_two_recommenders_share_load_sessions_and_log_and_one_may_leave(
    services: tuple[list[Served], Served], tmp_path: Path
) -> None:
    replicas, front = services
    with Load(front.port, clients(4)) as load:
        wait_until(
            lambda: all(events(replica) > 50 for replica in replicas),
            "both to take their share",
        )
        track = 0
        heard = {track}
        for _ in range(25):
            answer = front.ask("POST", "/next/1999", {"track": track, "time": 0.5})[1]
            track = answer["track"]
            assert track not in heard, "one replica knows what the other heard"
            heard.add(track)
        assert replicas[0].stop() == 0
        load.wait_for(500)
    assert set(load.statuses) == {200}, "nobody notices that one has left"
    assert load.broken == []
    assert replicas[1].stop() == 0
    logged = logged_answers(tmp_path / "log")
    assert not Counter(load.answers) - logged
    assert logged.total() == len(load.answers) + 25


def test_what_is_of_one_replica_is_not_shown_to_the_outside(
    services: tuple[list[Served], Served],
) -> None:
    _, front = services
    assert front.ask("GET", "/metrics")[0] == 404
    assert front.ask("POST", "/admin/reload")[0] == 404
    assert front.ask("GET", "/track/7")[1]["track"] == 7
    status, refusal = front.ask(
        "POST", "/next/7", {"track": "x" * 2_000_000, "time": 1}
    )
    assert status == 413
    assert "error" in refusal, "in JSON, by the service"


def events(replica: Served) -> float:
    metrics = replica.ask("GET", "/metrics")[1]
    (line,) = [
        line
        for line in metrics.splitlines()
        if line.startswith('botify_events_total{message="next"}')
    ]
    return float(line.split()[-1])


def make_certificate(folder: Path) -> Path:
    """Write a certificate of this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(pem))
    return file


def test_nginx_speaks_tls_asks_for_keys_and_limits_what_an_address_may(
    tmp_path: Path,
) -> None:
    certificate = make_certificate(tmp_path)
    key = re.findall(r'"(.*)" player;', (BOTIFY / "nginx.conf").read_text())[0]
    nginx = Nginx(tmp_path, [free_port()], "tls|key")
    file = tmp_path / "nginx.conf"
    text = file.read_text()
    file.write_text(text.replace("2000r/s", "1r/m").replace("burst=4000", "burst=2"))
    context = ssl.create_default_context(cafile=str(certificate))

    def ask(headers: dict[str, str]) -> int:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", nginx.tls_port, timeout=60, context=context
        )
        with closing(connection):
            connection.request("POST", "/next/7", "{}", headers)
            answer = connection.getresponse()
            if answer.status in (401, 429):
                assert b'"error"' in answer.read()
            return answer.status

    process = nginx.start()
    try:
        wait_until(lambda: is_open(nginx.tls_port), "nginx to listen")
        assert [ask({}), ask({"X-Api-Key": "another"})] == [401, 401]
        statuses = [ask({"X-Api-Key": key}) for _ in range(4)]
        assert statuses == [502, 502, 502, 429], "nobody recommends here"
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_thousands_of_silent_tls_connections_hold_up_nobody(tmp_path: Path) -> None:
    """More of them than nginx keeps."""
    context = ssl.create_default_context(cafile=str(make_certificate(tmp_path)))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    published, silent = publish_first(tmp_path / "published"), min(9_200, most - 500)
    with serve(published, tmp_path / "log") as served, ExitStack() as stack:
        nginx = Nginx(tmp_path, [served.port], "tls")
        process = nginx.start()
        stack.callback(process.wait, timeout=60)
        stack.callback(process.terminate)
        wait_until(lambda: is_open(nginx.tls_port), "nginx to listen")
        for _ in range(silent):
            address = ("127.0.0.1", nginx.tls_port)
            stack.enter_context(socket.create_connection(address, timeout=60))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", nginx.tls_port, timeout=60, context=context
        )
        with closing(connection):
            connection.request("POST", "/next/7", '{"track": 1, "time": 0.5}')
            assert connection.getresponse().status == 200


@pytest.mark.parametrize("options", ["none", "tls|key"])
def test_nginx_accepts_its_configuration(tmp_path: Path, options: str) -> None:
    make_certificate(tmp_path)
    result = Nginx(tmp_path, [5001, 5002], options).check()
    assert result.returncode == 0, result.stderr
    assert "warn" not in result.stderr


def test_the_compose_file_fits_the_service_and_nginx() -> None:
    document = yaml.safe_load((BOTIFY / "docker-compose.yml").read_text())
    services = document["services"]
    assert set(services) == {"nginx", "recommender", "redis"}
    assert "server recommender:5001 " in (BOTIFY / "nginx.conf").read_text()
    password = services["redis"]["environment"]["REDISCLI_AUTH"]
    assert password.startswith("${REDIS_PASSWORD:?"), "no password that all know"
    assert (
        services["recommender"]["environment"]["BOTIFY_REDIS_URL"]
        == f"redis://:{password}@redis:6379/0"
    )
    command = services["redis"]["command"]
    assert command[command.index("--requirepass") + 1] == password
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["mem_limit"]
        assert service["pids_limit"]
    assert (
        BOTIFY.parent / "botify" / services["recommender"]["build"]["context"]
    ).resolve() == BOTIFY.parent
    mounted = {
        volume.split(":")[0]
        for service in services.values()
        for volume in service["volumes"]
    }
    assert set(document["volumes"]) <= mounted
    dockerfile = (BOTIFY / "Dockerfile").read_text()
    for text in (
        "BOTIFY_PORT=5001",
        "EXPOSE 5001",
        "USER botify",
        "VOLUME /var/log/botify",
    ):
        assert text in dockerfile


def test_every_image_has_a_fixed_digest() -> None:
    services = yaml.safe_load((BOTIFY / "docker-compose.yml").read_text())["services"]
    bases = services["recommender"]["build"]["additional_contexts"]
    dockerfile = (BOTIFY / "Dockerfile").read_text()
    named = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    assert set(bases) == named, "what the Dockerfile starts from"
    images = [*bases.values(), services["nginx"]["image"], services["redis"]["image"]]
    assert all(re.search("@sha256:[0-9a-f]{64}$", image) for image in images)


def test_the_image_finds_what_the_demo_leaves() -> None:
    dockerfile = (BOTIFY / "Dockerfile").read_text()
    config = yaml.safe_load((BOTIFY.parent / "configs" / "botify.yaml").read_text())
    for key in ("catalogue", "recommendations"):
        assert (
            f"BOTIFY_{key.upper()}={config[key].replace('out/demo/', '/data/')} "
            in dockerfile
        )


def test_the_image_installs_pinned_releases_of_all_that_the_service_needs() -> None:
    wanted = tomllib.loads((BOTIFY.parent / "pyproject.toml").read_text())["project"]
    needed = {
        re.split(r"[>\[]", text)[0]
        for text in wanted["dependencies"] + wanted["optional-dependencies"]["service"]
    }
    releases = [
        line
        for line in (BOTIFY / "requirements.txt").read_text().splitlines()
        if re.match(r"\w", line)
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ \\", line) for line in releases)
    assert needed <= {line.partition("==")[0] for line in releases}
    dockerfile = (BOTIFY / "Dockerfile").read_text()
    installed = [line for line in dockerfile.splitlines() if "pip install" in line]
    assert len(installed) == 2
    assert all("--require-hashes" in line for line in installed)
    (built,) = (line for line in dockerfile.splitlines() if "pip wheel" in line)
    assert "--no-build-isolation" in built, "what builds it has a digest too"


def test_compose_accepts_its_file() -> None:
    argv = [need("docker-compose"), "-f", str(BOTIFY / "docker-compose.yml")]

    def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*argv, "config", "--quiet"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    result = check(os.environ | {"REDIS_PASSWORD": "secret"})
    assert (result.returncode, result.stderr) == (0, "")
    assert "REDIS_PASSWORD" in check({"PATH": os.environ["PATH"]}).stderr
