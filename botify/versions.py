"""Load the published version, and follow the link to newer versions."""

import logging
import threading
from pathlib import Path
from typing import Any

from botify import limits
from botify.errors import ModelError
from botify.metrics import Metrics
from botify.model.catalogue import Catalogue
from botify.model.manifest import MANIFEST, Version, version_folder
from botify.model.model import LISTS, ServedModel
from botify.model.tracklists import read_track_lists
from botify.recommenders.registry import check_draws
from botify.settings import ServiceSettings

POPULAR = 100  # tracks

logger = logging.getLogger("botify")


def load_version(
    recommendations: Path,
    catalogue: Catalogue,
    settings: ServiceSettings,
    *,
    text_users: bool | None,
) -> ServedModel:
    """Load a version, and ask its recommenders for some tracks.

    Args:
        recommendations: The file of lists; the other files lie beside it.
        catalogue: The tracks that the service knows.
        settings: Name the recommenders, whose artifacts are loaded.
        text_users: Whether ids of listeners are text; None: as in the lists.

    Raises:
        ModelError: A file is missing or does not fit the manifest, the catalogue or the kind of
            ids, or a recommender fails.
    """
    file = MANIFEST  # the file in an error's message
    try:
        version = Version(recommendations, catalogue)
        file = recommendations.name
        lists = read_track_lists(version, file)
        loaded: dict[str, Any] = {LISTS.name: lists}
        for artifact in settings.artifacts:
            file = artifact.file
            if file in version.manifest.files:
                loaded[artifact.name] = artifact.load(version)
    except ModelError:
        raise
    except Exception as error:  # damaged files make their readers raise any kind
        reason = f"{type(error).__name__}: {error}"
        path = recommendations.with_name(file)
        raise ModelError(f"{path}: cannot be read ({reason})") from error
    if text_users not in (None, lists.is_text):
        kinds = {True: "text", False: "whole numbers"}
        raise ModelError(
            f"{version.folder}: ids of listeners are {kinds[lists.is_text]}, "
            f"and those of the service are {kinds[not lists.is_text]}"
        )
    skip = version.manifest.feedback.get("skip") or 0
    model = ServedModel(
        version=version.manifest.model,
        created_at=version.manifest.created_at,
        folder=version.folder,
        catalogue=catalogue,
        text_users=lists.is_text,
        recommendations=lists,
        popular=lists.most_listed(POPULAR),
        artifacts=loaded,
        skip=skip if skip <= 1 else 0,  # requests have no seconds
    )
    check_draws(model, settings.recommenders)
    return model


class Versions:
    """The current version, which a reload swaps atomically between requests.

    The link `current -> versions/<model id>` names the current version: the export moves the link,
    a rollback moves it back, and every process of every replica follows it.
    """

    def __init__(
        self, settings: ServiceSettings, model: ServedModel, metrics: Metrics
    ) -> None:
        """Begin with a model, whose catalogue and kind of ids later versions must share.

        Args:
            settings: Settings with the path of the lists; without lists nothing is watched.
            model: Model that is served first.
            metrics: Counter of refused versions and time of the latest check.
        """
        self.model, self._settings, self._metrics = model, settings, metrics
        self.refused: str | None = None  # why the current version is not served
        self._tried = _state(model.folder)
        self._stop = threading.Event()
        self._watcher = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )

    def reload(self) -> ServedModel:
        """Serve the current version, unless it was tried already.

        Raises:
            ModelError: The version is refused; the earlier version goes on.
        """
        lists, served = self._settings.recommendations, self.model
        if lists is None:  # the catalogue alone
            return served
        folder = version_folder(lists)
        current = _state(folder)
        if current == self._tried:
            return served
        self._tried = current
        try:
            self.model = load_version(
                folder / lists.name,
                served.catalogue,
                self._settings,
                text_users=served.text_users,
            )
        except ModelError as error:
            published = lists.parent.parent
            # anyone may read it, so it has no path of this machine
            reason = str(error).replace(f"{published.resolve()}/", "")
            self.refused = reason.replace(f"{published}/", "")
            self._metrics.versions_refused.inc()
            raise
        logger.info("serving version %s", self.model.version)
        for warning in self._settings.warnings(self.model):
            logger.warning("%s", warning)
        self.refused = None
        return self.model

    def watch(self) -> None:
        """Check for a new version in a thread of its own, until `close`."""
        if self._settings.recommendations:
            self._watcher.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=5)

    def _watch(self) -> None:
        while not self._stop.wait(limits.WATCH_S):
            try:
                self.reload()
            except Exception as error:  # noqa: BLE001  the watcher goes on
                logger.warning("%s", error)
            self._metrics.versions_checked.set_to_current_time()


def _state(folder: Path | None) -> tuple[Path | None, int]:
    """Read the folder and its manifest's time, which change with each publication."""
    try:
        return folder, (folder / MANIFEST).stat().st_mtime_ns if folder else 0
    except OSError:
        return folder, 0
