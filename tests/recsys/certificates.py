"""Authorities and certificates for tests of TLS, made by OpenSSL."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.programs import need


@dataclass(frozen=True)
class Certificates:
    """What one authority signed; scheduler, worker and search may share it."""

    ca: Path
    cert: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """For `dask scheduler` and `dask worker`."""
        return ("--tls-ca-file", str(self.ca), "--tls-cert", str(self.cert), "--tls-key", str(self.key))

    @property
    def sets(self) -> tuple[str, ...]:
        """For the search."""
        return tuple(
            word
            for name in ("ca", "cert", "key")
            for word in ("--set", f"cluster.security.{name}={getattr(self, name)}")
        )


def make_certificates(folder: Path) -> Certificates:
    """An authority of its own, and a certificate for this machine."""
    folder.mkdir()
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    _openssl("req", "-x509", *curve, "-subj", "/CN=authority", "-keyout", str(folder / "ca.key"), "-out", str(made.ca))
    _openssl(
        *("req", "-x509", *curve, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-CA", str(made.ca), "-CAkey", str(folder / "ca.key"), "-keyout", str(made.key), "-out", str(made.cert)),
    )
    return made


def _openssl(*words: str) -> None:
    subprocess.run([need("openssl"), *words], check=True, capture_output=True)
