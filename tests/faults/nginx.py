"""Nginx with the project's own configuration, in front of services on this machine."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import free_port, is_open, need
from tests.waiting import wait_until

CONFIGURATION = Path("botify/nginx.conf")
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """Where it listens."""

    port: int
    tls_port: int


@contextmanager
def nginx(
    folder: Path,
    services: Sequence[int],
    options: str = "none",
    changes: dict[str, str] | None = None,
) -> Iterator[Nginx]:
    """Run nginx for the block.

    Args:
        folder: For its files; a certificate and its key are there already if it speaks TLS.
        services: The ports of the services.
        options: Which of the optional lines to take in, such as `tls|key`.
        changes: Further texts to replace in the configuration.
    """
    program, front = need("nginx"), Nginx(free_port(), free_port())
    text = re.sub(rf"#({options}) ", "", CONFIGURATION.read_text())
    (server,) = re.findall(r"server recommender:5001.*;", text)
    addresses = (f"127.0.0.1:{port}" for port in services)
    servers = (server.replace("recommender:5001", address) for address in addresses)
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in KINDS)
    replaced = {
        server: "\n".join(servers),
        "listen 80": f"listen 127.0.0.1:{front.port}",
        "listen 443": f"listen 127.0.0.1:{front.tls_port}",
        "/etc/nginx/certificates": str(folder),
        "auto;": "1;",
        "http {": f"http {{\n{folders}",
        **(changes or {}),
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    file = folder / "nginx.conf"
    file.write_text(text)
    settings = f"pid {folder}/nginx.pid; error_log stderr; daemon off;"
    argv = [program, "-e", "stderr", "-p", str(folder), "-c", str(file)]
    with (folder / "nginx.stderr").open("wb") as errors:
        process = subprocess.Popen([*argv, "-g", settings], stderr=errors)
    try:
        wait_until(lambda: is_open(front.port), "nginx to listen", [process])
        yield front
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert "[warn]" not in (folder / "nginx.stderr").read_text()
