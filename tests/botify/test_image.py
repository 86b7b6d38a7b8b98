"""The image and the compose file fit the service, nginx and each other."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import need

DOCKERFILE = Path("botify/Dockerfile").read_text()
COMPOSE_FILE = Path("botify/docker-compose.yml")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    services: dict[str, Any] = document["services"]
    volumes = [volume for service in services.values() for volume in service["volumes"]]
    assert set(document["volumes"]) <= {volume.split(":")[0] for volume in volumes}
    return services


def test_every_service_is_confined(services: dict[str, Any]) -> None:
    assert set(services) == {"nginx", "recommender", "redis"}
    confined = {"read_only": True, "cap_drop": ["ALL"]}.items()
    for service in services.values():
        assert confined <= service.items()
        assert service["mem_limit"]
        assert service["pids_limit"]
    assert not any("ports" in services[name] for name in ("recommender", "redis"))
    ports = services["nginx"]["ports"]
    assert all(port.startswith("${ADDRESS:-127.0.0.1}:") for port in ports)


def test_services_find_each_other_with_the_password(services: dict[str, Any]) -> None:
    assert "server recommender:5001 " in Path("botify/nginx.conf").read_text()
    password = services["redis"]["environment"]["REDISCLI_AUTH"]
    address = f"redis://:{password}@redis:6379/0"
    assert services["recommender"]["environment"]["BOTIFY_REDIS_URL"] == address


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "password", "starts"),
    [("", "loopback", True), ("0.0.0.0", "loopback", False), ("0.0.0.0", "s3", True)],  # noqa: S104
)
def test_redis_needs_a_password_of_its_own_if_other_machines_reach_it(
    services: dict[str, Any], address: str, password: str, starts: bool
) -> None:
    *shell, script = services["redis"]["command"]
    script = script.replace("$$", "$").replace("exec redis-server", "echo")
    environment = {"ADDRESS": address, "REDISCLI_AUTH": password}
    done = subprocess.run([*shell, script], env=environment, capture_output=True)
    assert (done.returncode == 0) is starts
    assert (f"--requirepass {password} " in done.stdout.decode()) is starts


def test_the_image_is_that_of_the_service_and_finds_what_the_demo_leaves(
    services: dict[str, Any],
) -> None:
    context = services["recommender"]["build"]["context"]
    assert (COMPOSE_FILE.parent / context).resolve() == Path.cwd()
    config = yaml.safe_load(Path("configs/botify.yaml").read_text())
    demo = [
        f"BOTIFY_{key.upper()}={config[key].replace('out/demo/', '/data/')} "
        for key in ("catalogue", "recommendations")
    ]
    lines = ("BOTIFY_PORT=5001", "EXPOSE 5001", "USER botify")
    for text in (*demo, *lines, "VOLUME /var/log/botify"):
        assert text in DOCKERFILE


def test_every_image_has_a_fixed_digest(services: dict[str, Any]) -> None:
    bases = services["recommender"]["build"]["additional_contexts"]
    assert set(bases) == set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    images = [*bases.values(), services["nginx"]["image"], services["redis"]["image"]]
    assert all(re.search("@sha256:[0-9a-f]{64}$", image) for image in images)


@pytest.mark.slow
def test_compose_accepts_its_file() -> None:
    argv = [need("docker-compose"), "-f", str(COMPOSE_FILE), "config", "--quiet"]
    subprocess.run(argv, check=True, timeout=60)
