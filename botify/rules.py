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

from botify.model.catalogue import Catalogue, Id
from looplib.arrays import NO_TRACK
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
        barred = frozenset(map(catalogue.number, exclude)) - {NO_TRACK}
        boosts = {catalogue.number(track): by for track, by in boost.items()}
        return cls(barred, boosts)

    def rank(self, tracks: Iterable[int], request: "Rules") -> list[int]:
        """Rank a list of tracks again, by these rules and those of a request.

        >>> Rules(exclude=frozenset({17}), boost={5: 4.0}).rank([1, 17, 3, 5], Rules())
        [5, 1, 3]
        """
        barred = self.exclude | request.exclude
        allowed = [track for track in tracks if track not in barred]
        boosts = {**self.boost, **request.boost}
        if not boosts:
            return allowed
        ranks = {
            track: rank / boosts.get(track, 1.0)
            for rank, track in enumerate(allowed, 1)
        }
        return sorted(allowed, key=ranks.__getitem__)


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
        self._rules = Rules()
        if path is not None:
            self._read(path)

    def current(self) -> Rules:
        """Read the current rules; a change is seen within `watch_s`, a mistake in it is logged."""
        if self._path and time.monotonic() - self._checked_s > self._watch_s:
            try:
                self._read(self._path)
            except UserError as error:
                logger.warning("%s; the rules before stay", error)
        return self._rules

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
        rules = load_config(RulesDocument, path)
        self._rules = Rules.read(rules.exclude, rules.boost, self._catalogue)
