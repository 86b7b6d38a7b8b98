"""Publishing a run's winner to the service, one at a time, beside the pages."""

import http.client
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from looplib.errors import UserError
from recsys.config import ExportConfig
from recsys.errors import LabError
from recsys.export.export import export_run

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Service:
    """The service, by its address."""

    url: str
    token: str | None = None

    def experiments(self) -> dict[str, Any]:
        """What it serves, and to which arms.

        Raises:
            LabError: It does not answer.
        """
        return self._ask("GET", "/experiments")

    def reload(self) -> str:
        """Makes it serve the current version; returns which.

        Raises:
            LabError: It refuses, with its reason.
        """
        return str(self._ask("POST", "/admin/reload")["version"])

    def roll_back(self) -> str:
        """Makes it serve the version before; returns which.

        Raises:
            LabError: It refuses, with its reason.
        """
        return str(self._ask("POST", "/admin/rollback")["version"])

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, f"{parts.path.rstrip('/')}{path}", headers=headers)
            answer = connection.getresponse()
            status, document = answer.status, orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            raise LabError(f"the service at {self.url} does not answer ({error})") from None
        if status != http.client.OK:
            raise LabError(f"the service refuses ({status}): {document.get('error', 'no reason given')}")
        return dict(document)


@dataclass(frozen=True)
class Job:
    """A publication.

    Attributes:
        run: Name of the run.
        state: How far it is.
        outcome: The version, or why it failed.
    """

    run: str
    state: str
    outcome: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether it goes on."""
        return self.state == "under way"


class Publisher:
    """Refits and publishes in the background: a large model takes minutes, a page does not."""

    def __init__(self, service: Service, published: Path) -> None:
        """Publishes to a folder that a service follows.

        Args:
            service: Is told of a new version.
            published: The folder of versions.
        """
        self.job: Job | None = None
        self._service, self._published = service, published
        self._lock = threading.Lock()

    def start(self, name: str, folder: Path, options: ExportConfig) -> None:
        """Begins to publish a run's winner.

        Raises:
            LabError: Another publication is under way.
        """
        with self._lock:
            if self.job is not None and self.job.is_under_way:
                raise LabError(f"{self.job.run} is being published; wait until that is done")
            self.job = Job(name, "under way")
        threading.Thread(target=self._publish, args=(name, folder, options), daemon=True).start()

    def _publish(self, name: str, folder: Path, options: ExportConfig) -> None:
        try:
            version = Path(export_run(folder, self._published, options)).resolve().name
            served = self._service.reload()
            self.job = Job(name, "done", f"version {version}; the service serves {served}")
        except UserError as error:
            self.job = Job(name, "failed", str(error))
        except BaseException as error:
            self.job = Job(name, "failed", f"{type(error).__name__}: {error}")
            raise
