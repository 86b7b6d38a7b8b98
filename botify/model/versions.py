"""Serve one version after another: load a new one, refuse a bad one, roll back."""

import contextlib
import logging
import threading
from pathlib import Path

from botify.errors import ModelError
from botify.metrics import Metrics
from botify.model.catalogue import Catalogue
from botify.model.manifest import MANIFEST, read_manifest, version_folder
from botify.model.model import ServedModel, load_model
from botify.recommenders.registry import check_draws
from botify.settings import ServiceSettings
from looplib.files import atomic_symlink

logger = logging.getLogger("botify")


def load_version(
    recommendations: Path,
    catalogue: Catalogue,
    settings: ServiceSettings,
    *,
    text_users: bool | None,
) -> ServedModel:
    """Load a version as `load_model` does, and ask its recommenders for some tracks.

    Raises:
        ModelError: It cannot be loaded, or a recommender fails.
    """
    artifacts = settings.artifacts
    model = load_model(recommendations, catalogue, artifacts, text_users=text_users)
    check_draws(model, settings.recommenders)
    return model


class Versions:
    """The model being served, swapped in one step: a request sees one version or another.

    The link that the recommendations are found through (`current -> versions/<model id>`) says
    which version is the current one: the export moves it, `roll_back` moves it back, and every
    process of every replica follows it.
    """

    def __init__(
        self, settings: ServiceSettings, model: ServedModel, metrics: Metrics
    ) -> None:
        """Begin with a model, which later versions must fit.

        Args:
            settings: Say where the file of lists is; without one there is nothing to watch.
            model: What is served first.
            metrics: Counts refused versions, and has the time of the latest check for a new one.
        """
        self.model, self._settings, self._metrics = model, settings, metrics
        self.refused: str | None = None  # why the current version is not the one served
        self._served = self._tried = _state(model.folder)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )

    def reload(self) -> ServedModel:
        """Serve the current version, loading it unless it is the one served.

        Raises:
            ModelError: It is refused; the one served before goes on.
        """
        with self._lock:
            folder = version_folder(self._configured())
            self._tried = _state(folder)
            try:
                if self._tried != self._served:
                    self._serve(self._load(folder))
            except ModelError as error:
                published = self._configured().parent.parent
                # anyone may read it, so it has no path of this machine
                reason = str(error).replace(f"{published.resolve()}/", "")
                self.refused = reason.replace(f"{published}/", "")
                self._metrics.versions_refused.inc()
                raise
            self.refused = None
            return self.model

    def roll_back(self, version: str | None = None) -> ServedModel:
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
            self._tried = _state(folder)
            self._serve(model)
            self.refused = None
            return model

    def watch(self) -> None:
        """Check for a new version every `watch_s`, in a thread of its own, until `close`."""
        if self._settings.recommendations:
            self._watcher.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=5)

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.watch_s):
            try:
                if _state(version_folder(self._configured())) != self._tried:
                    self.reload()
            except Exception as error:  # noqa: BLE001  the watcher goes on
                logger.warning("%s", error)
            self._metrics.versions_checked.set_to_current_time()

    def _configured(self) -> Path:
        if self._settings.recommendations is None:
            raise ModelError(
                "recommendations: none are configured, so there are no versions"
            )
        return self._settings.recommendations

    def _load(self, folder: Path) -> ServedModel:
        file, served = folder / self._configured().name, self.model
        return load_version(
            file, served.catalogue, self._settings, text_users=served.text_users
        )

    def _serve(self, model: ServedModel) -> None:
        self.model, self._served = model, self._tried
        logger.info("serving version %s", model.version)
        for warning in self._settings.warnings(model):
            logger.warning("%s", warning)

    def _find(self, version: str | None) -> Path:
        """Find the folder of a version, by default of the latest one before the served one."""
        served = self.model
        versions = (served.folder or version_folder(self._configured())).parent
        candidates = {}
        for folder in versions.glob("[!.]*"):
            with contextlib.suppress(ModelError):  # no version
                manifest = read_manifest(folder)
                is_earlier = manifest.created_at <= served.created_at
                if manifest.model == version or (
                    version is None and is_earlier and folder != served.folder
                ):
                    candidates[manifest.created_at] = folder
        if not candidates:
            name = version or f"earlier than {served.version}"
            raise ModelError(f"{versions}: no version {name}")
        return candidates[max(candidates)]

    def _point_to(self, folder: Path) -> None:
        link = self._configured().parent
        if not link.is_symlink():
            raise ModelError(
                f"{link}: no link to a version, so there is nothing to roll back"
            )
        try:
            atomic_symlink(link, str(folder.relative_to(link.parent.resolve())))
        except (OSError, ValueError) as error:
            raise ModelError(f"{link}: cannot be moved ({error})") from None


def _state(folder: Path | None) -> tuple[Path | None, int]:
    """Read the folder and its manifest's time, which change with what there is to load."""
    try:
        return folder, (folder / MANIFEST).stat().st_mtime_ns if folder else 0
    except OSError:
        return folder, 0
