"""A file of tracks that no answer has, read again when it changes."""

import logging
import time
from pathlib import Path

from botify.model.catalogue import Catalogue, Id
from looplib.config import Config, load_config
from looplib.errors import UserError

logger = logging.getLogger("botify")


class Rules(Config):
    """Rules for all requests, such as `exclude: [17, 23]`."""

    exclude: tuple[Id, ...] = ()  # tracks; those that the catalogue lacks are ignored


class RulesFile:
    """The rules of a file, read again when it changes."""

    def __init__(self, path: Path | None, catalogue: Catalogue, watch_s: float) -> None:
        """Read the file, or have no rules without one.

        Raises:
            ConfigError: It cannot be read, or says something else.
        """
        self._path, self._catalogue, self._watch_s = path, catalogue, watch_s
        self._checked_s = 0.0
        self._state: object = "not read yet"
        self._excluded = frozenset[int]()
        if path is not None:
            self._read(path)

    def excluded(self) -> frozenset[int]:
        """List the tracks that are excluded now.

        A change is seen within `watch_s`, a mistake in it is logged.
        """
        if self._path and time.monotonic() - self._checked_s > self._watch_s:
            try:
                self._read(self._path)
            except UserError as error:
                logger.warning("%s; the rules before stay", error)
        return self._excluded

    def _read(self, path: Path) -> None:
        self._checked_s = time.monotonic()
        try:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            state = None  # refused below, once
        if state == self._state:
            return
        self._state = state
        rules = load_config(Rules, path)
        self._excluded = self._catalogue.numbers_of(rules.exclude)
