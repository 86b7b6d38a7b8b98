"""Business rules: tracks that no answer has, and tracks that rise or sink in ranked lists.

They are a YAML file, which is read again when it changes:

    exclude: [17, 23]
    boost: {5: 3, 8: 0.5}
"""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import PositiveFloat

from botify.model.catalogue import UNKNOWN_TRACK, Catalogue, Id
from looplib.config import Config, load_config
from looplib.errors import UserError

logger = logging.getLogger("botify")


class RulesDocument(Config):
    """The file of the rules; tracks that the catalogue lacks are ignored."""

    exclude: tuple[Id, ...] = ()
    # by track; one at rank r of a list is ranked as if at r / boost
    boost: Mapping[Id, PositiveFloat] = {}


@dataclass(frozen=True)
class Rules:
    """Rules for tracks by number."""

    exclude: frozenset[int] = frozenset()
    boost: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def read(
        cls, exclude: Iterable[Id], boost: Mapping[Id, float], catalogue: Catalogue
    ) -> Self:
        """Make the rules for the tracks that a catalogue has, given by their ids."""
        barred = frozenset(map(catalogue.number, exclude)) - {UNKNOWN_TRACK}
        boosts = {catalogue.number(track): by for track, by in boost.items()}
        return cls(barred, boosts)

    def rank(self, tracks: Iterable[int], request: "Rules") -> list[int]:
        """Return what is left of a list, best first, by these rules and those of a request."""
        barred = self.exclude | request.exclude
        left = [track for track in tracks if track not in barred]
        boosts = {**self.boost, **request.boost}
        ranks = {
            track: rank / boosts.get(track, 1.0) for rank, track in enumerate(left, 1)
        }
        return sorted(left, key=ranks.__getitem__)


class RulesFile:
    """The rules of a file, as it is now."""

    def __init__(self, path: Path | None, catalogue: Catalogue, watch_s: float) -> None:
        """Read the file, or have no rules without one.

        Raises:
            ConfigError: It cannot be read, or says something else.
        """
        self._path, self._catalogue, self._watch_s = path, catalogue, watch_s
        self._looked_s = 0.0
        self._state: object = "not looked yet"
        self._rules = Rules()
        if path is not None:
            self._look(path)

    def current(self) -> Rules:
        """Return the rules; a change is seen within `watch_s`, and a mistake in it is logged."""
        if self._path and time.monotonic() - self._looked_s > self._watch_s:
            try:
                self._look(self._path)
            except UserError as error:
                logger.warning("%s; the rules before stay", error)
        return self._rules

    def _look(self, path: Path) -> None:
        self._looked_s = time.monotonic()
        try:
            found = path.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            state = None  # refused below, once
        if state == self._state:
            return
        self._state = state
        rules = load_config(RulesDocument, path)
        self._rules = Rules.read(rules.exclude, rules.boost, self._catalogue)
