"""Which version is served: loading a new one while serving, refusing a bad one, rolling back."""

import contextlib
import logging
import sys
import threading
import time
from pathlib import Path

from botify.errors import ModelError
from botify.metrics import Metrics
from botify.model.loading import current_folder, lacking, load_model, read_manifest
from botify.model.model import MANIFEST, Model
from botify.settings import Settings
from looplib.files import atomic_symlink

_LONGEST_LOAD_S = 120.0
_SWITCH_S = 0.0005  # for which loading may hold up requests

logger = logging.getLogger("botify")


class Versions:
    """The model being served; `model` is swapped in one step, so a request sees one version or another.

    The link that the recommendations are found through (`current -> versions/<model id>`) says
    which version is the current one: the export moves it, `roll_back` moves it back, and every
    process of every replica follows it.
    """

    def __init__(self, settings: Settings, model: Model, metrics: Metrics) -> None:
        """Begin with a model, which later versions must fit."""
        self.model, self._metrics = model, metrics
        self.refused: str | None = None  # why the current version is not the one served
        self._settings = settings.model_copy(update={"text_users": model.text_users})
        self._served = self._tried = self._state(model.folder)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._checked_s = time.monotonic()
        self._watcher = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )

    def reload(self) -> Model:
        """Serve the current version, loading it unless it is the one served.

        Raises:
            ModelError: It is refused; the one served before goes on.
        """
        with self._lock:
            folder = current_folder(self._settings)
            self._tried = self._state(folder)
            try:
                if self._tried != self._served:
                    self.model = self._load(folder)
                    self._served = self._tried
                    logger.info("serving version %s", self.model.version)
                    for note in lacking(self._settings, self.model):
                        logger.warning("%s", note)
            except ModelError as error:
                self.refused = str(error)
                self._metrics.versions_refused.inc()
                raise
            self.refused = None
            return self.model

    def roll_back(self, version: str | None = None) -> Model:
        """Make an earlier version the current one, and serve it.

        Args:
            version: Its name; by default the version exported before the served one.

        Raises:
            ModelError: There is no such version, the recommendations are not found through a link,
                or that version is refused.
        """
        with self._lock:
            folder = self._find(version)
            model = self._load(folder)
            self._point_to(folder)
            self.model, self.refused = model, None
            self._served = self._tried = self._state(folder)
            logger.info("rolled back to version %s", model.version)
            return model

    def watch(self) -> None:
        """Look for a new version every `watch_s`, in its own thread, until `close`; without recommendations do not."""
        if self._settings.recommendations is not None:
            self._watcher.start()

    def is_watching(self) -> bool:
        """Return whether the watcher lives and has looked lately."""
        if self._settings.recommendations is None:
            return True
        patience_s = 10 * self._settings.watch_s + _LONGEST_LOAD_S
        return (
            self._watcher.is_alive() and time.monotonic() - self._checked_s < patience_s
        )

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=5)

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.watch_s):
            try:
                if self._state(current_folder(self._settings)) != self._tried:
                    self.reload()
            except ModelError as error:
                logger.warning("%s", error)
            except Exception as error:
                logger.exception("the watcher of versions goes on", exc_info=error)
            self._checked_s = time.monotonic()
            self._metrics.versions_checked.set_to_current_time()

    @staticmethod
    def _state(folder: Path | None) -> tuple[Path | None, int]:
        """Return what changes when there is something to load."""
        try:
            return folder, (folder / MANIFEST).stat().st_mtime_ns if folder else 0
        except OSError:
            return folder, 0

    def _load(self, folder: Path) -> Model:
        """Load a version, giving way to requests more often than Python's threads usually do."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            return load_model(self._settings, self.model.catalogue, folder)
        except Exception as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                f"{folder}: cannot be loaded ({type(error).__name__}: {error})"
            ) from error
        finally:
            sys.setswitchinterval(before)

    def _find(self, version: str | None) -> Path:
        """Return the folder of a version; by default of the latest one that is not later than the served one."""
        served = self.model
        folders = (served.folder or current_folder(self._settings)).parent
        found = []
        for folder in folders.glob("[!.]*"):
            with contextlib.suppress(ModelError):  # no version
                manifest = read_manifest(folder)
                is_earlier = (
                    folder != served.folder and manifest.created_at <= served.created_at
                )
                if is_earlier if version is None else manifest.model == version:
                    found.append((manifest.created_at, folder))
        if not found:
            what = (
                f"no version {version}"
                if version is not None
                else f"no version earlier than {served.version}"
            )
            raise ModelError(f"{folders}: {what}")
        return max(found)[1]

    def _point_to(self, folder: Path) -> None:
        link = (
            self._settings.recommendations.parent
            if self._settings.recommendations
            else Path()
        )
        if not link.is_symlink():
            raise ModelError(
                f"{link}: no link to a version, so there is nothing to roll back"
            )
        try:
            atomic_symlink(link, str(folder.relative_to(link.parent.resolve())))
        except (OSError, ValueError) as error:
            raise ModelError(f"{link}: cannot be moved ({error})") from None
