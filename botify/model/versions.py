"""Which version is served: loading a new one while serving, refusing a bad one, rolling back."""

import logging
import threading
from pathlib import Path

from botify.errors import ModelError
from botify.model.catalogue import Catalogue
from botify.model.model import MANIFEST, Model, current_folder, load_model, read_manifest
from botify.settings import Settings
from looplib.files import TEMPORARY_PREFIX, fsync_directory

logger = logging.getLogger("botify")


class Versions:
    """The model being served; `model` is swapped in one step, so a request sees one version or another.

    Which version is the current one is said by the link that the recommendations are found through
    (`current -> versions/<model id>`), which the export moves and `roll_back` moves back. Every process of every
    replica follows the link by itself.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, model: Model) -> None:
        """Serves a model.

        Args:
            settings: Where versions are found.
            catalogue: The catalogue that they must fit.
            model: The version to begin with.
        """
        self.model = model
        self.refused: str | None = None  # why the current version is not the one served
        self._settings, self._catalogue = settings, catalogue
        self._served = self._tried = self._state(model.folder)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def reload(self) -> Model:
        """Serves the current version, loading it unless it is the one served.

        Raises:
            ModelError: It is refused; the one served before goes on.
        """
        with self._lock:
            return self._reload()

    def roll_back(self) -> Model:
        """Makes the version exported before the served one the current one, and serves it.

        Raises:
            ModelError: There is no earlier version, the recommendations are not found through a link, or the
                earlier version is refused.
        """
        with self._lock:
            folder = self._earlier()
            model = load_model(self._settings, self._catalogue, folder)
            self._point_to(folder)
            self.model, self.refused = model, None
            self._served = self._tried = self._state(folder)
            logger.info("rolled back to version %s", model.version)
            return model

    def watch(self) -> None:
        """Looks for a new version every `watch_s`, in a thread of its own, until `close`."""
        self._watcher = threading.Thread(target=self._watch, name="versions", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Ends the watching."""
        self._stop.set()
        if self._watcher:
            self._watcher.join(timeout=5)

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.watch_s):
            try:
                with self._lock:
                    if self._state(current_folder(self._settings)) != self._tried:
                        self._reload()
            except (ModelError, OSError) as error:
                logger.warning("%s", error)

    def _reload(self) -> Model:
        folder = current_folder(self._settings)
        self._tried = self._state(folder)
        try:
            if self._tried != self._served:
                self.model = load_model(self._settings, self._catalogue, folder)
                self._served = self._tried
                logger.info("serving version %s", self.model.version)
        except ModelError as error:
            self.refused = str(error)
            raise
        self.refused = None
        return self.model

    @staticmethod
    def _state(folder: Path) -> tuple[Path, int]:
        """Changes when there is something to be loaded."""
        try:
            return folder, (folder / MANIFEST).stat().st_mtime_ns
        except OSError:
            return folder, 0

    def _earlier(self) -> Path:
        served = self.model
        found = []
        for folder in served.folder.parent.iterdir():
            if folder == served.folder or folder.name.startswith(TEMPORARY_PREFIX) or not folder.is_dir():
                continue
            try:
                found.append((read_manifest(folder).created_at, folder))
            except ModelError:
                continue
        earlier = [(created_at, folder) for created_at, folder in found if created_at <= served.created_at]
        if not earlier:
            raise ModelError(f"{served.folder.parent}: no version earlier than {served.version}")
        return max(earlier)[1]

    def _point_to(self, folder: Path) -> None:
        link = self._settings.recommendations.parent
        if not link.is_symlink():
            raise ModelError(f"{link}: no link to a version, so there is nothing to roll back")
        temporary = link.parent / f"{TEMPORARY_PREFIX}{link.name}-rollback"
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(folder.relative_to(link.parent.resolve()))
            temporary.replace(link)
            fsync_directory(link.parent)
        except (OSError, ValueError) as error:
            raise ModelError(f"{link}: cannot be moved ({error})") from None
