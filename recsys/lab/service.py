"""The service: what it serves, what its log says so far, and publishing a run's winner to it in the background."""

import http.client
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from analysis.ab.config import AbConfig
from analysis.ab.page.figures import draw_effects
from analysis.ab.report import build_report
from looplib.checksums import unseal
from looplib.errors import UserError
from looplib.untrusted import read_untrusted
from recsys.config import ExportConfig
from recsys.errors import LabError
from recsys.export.export import MANIFEST, export_run

_TIMEOUT_S = 20.0
_LONGEST_MANIFEST = 2**20


@dataclass(frozen=True)
class Service:
    """The service at an address, and the token of its administrator, if it is known."""

    url: str
    token: str | None = None

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return its answer to a request with a JSON body, or raise a LabError with the reason why there is none."""
        parts = urlsplit(self.url)
        kind = (
            http.client.HTTPSConnection
            if parts.scheme == "https"
            else http.client.HTTPConnection
        )
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = (
            None
            if body is None
            else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        )
        try:
            with closing(kind(parts.netloc, timeout=_TIMEOUT_S)) as connection:
                connection.request(
                    method, f"{parts.path.rstrip('/')}{path}", content, headers
                )
                answer = connection.getresponse()
                status, document = answer.status, orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            raise LabError(
                f"the service at {self.url} does not answer ({error})"
            ) from None
        if status != http.client.OK:
            raise LabError(
                f"the service refuses ({status}): {document.get('error', 'no reason given')}"
            )
        return dict(document)


@dataclass(frozen=True)
class Job:
    """A publication: of which run, its state ("running", "done" or "failed"), and the version or why it failed."""

    run: str
    state: str = "running"
    outcome: str = ""


def read_versions(published: Path) -> list[dict[str, str]]:
    """Read the versions that a service can serve (model, created_at), the newest first; damaged ones are left out."""
    found = []
    for file in published.glob(f"versions/*/{MANIFEST}"):
        with suppress(UserError, ValueError, KeyError):
            manifest = unseal(read_untrusted(file, _LONGEST_MANIFEST))
            found.append({key: str(manifest[key]) for key in ("model", "created_at")})
    return sorted(found, key=lambda version: version["created_at"], reverse=True)


class Publisher:
    """Refits and publishes in the background: a large model takes minutes, a page does not."""

    def __init__(self, service: Service) -> None:
        """Publish to a service."""
        self.job: Job | None = None
        self._service, self._lock = service, threading.Lock()

    def start(
        self, name: str, folder: Path, published: Path, options: ExportConfig
    ) -> None:
        """Begin to publish a run's winner to a folder of versions, unless another publication is running."""
        with self._lock:
            if self.job is not None and self.job.state == "running":
                raise LabError(
                    f"{self.job.run} is being published; wait until that is done"
                )
            self.job = Job(name)
        threading.Thread(
            target=self._publish, args=(name, folder, published, options), daemon=True
        ).start()

    def _publish(
        self, name: str, folder: Path, published: Path, options: ExportConfig
    ) -> None:
        try:
            version = Path(export_run(folder, published, options)).resolve().name
            served = self._service.ask("POST", "/admin/reload")["version"]
            self.job = Job(
                name, "done", f"version {version}; the service serves {served}"
            )
        except UserError as error:
            self.job = Job(name, "failed", str(error))
        except BaseException as error:
            self.job = Job(name, "failed", f"{type(error).__name__}: {error}")
            raise


def look(service: Service, log: Path | None) -> dict[str, Any]:
    """Look at a service and its log as they are now.

    Returns:
        Values for the page: the service's address; its version and experiments, as it describes
        them, None if it does not answer; the report on its log, with intervals that hold on every
        day, None where there is none, else with the effect on the listening time of a session and
        that time itself, by arm, and a chart; and the verdict so far, or why something is missing.
    """
    found: dict[str, Any] = {"url": service.url, "served": None, "report": None}
    try:
        served = service.ask("GET", "/experiments")
        found["served"] = served
        if log is None:
            return {**found, "note": "no event log is given"}
        (deciding,) = (
            experiment for experiment in served["experiments"] if experiment["decides"]
        )
        shares = {arm["name"]: arm["share"] for arm in deciding["arms"]}
        settings = AbConfig(
            control=deciding["arms"][0]["name"], shares=shares, secondary=()
        )
        report = build_report([log], deciding["name"], settings)
    except UserError as error:
        return {**found, "note": str(error)}
    effects = {
        effect.arm: effect for effect in report.effects if effect.role == "primary"
    }
    means = {arm: effect.arm_value for arm, effect in effects.items()}
    if effects:
        means[report.control] = next(iter(effects.values())).control_value
    figure = draw_effects(report) if effects else None
    note = f"verdict: {report.verdict.decision} {report.verdict.arm or ''}".rstrip()
    return {
        **found,
        "report": report,
        "effects": effects,
        "means": means,
        "figure": figure,
        "note": note,
    }
