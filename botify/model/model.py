"""A version of the recommendations in memory, as recommenders read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from botify.model.catalogue import Catalogue
from botify.model.manifest import Version
from botify.model.tracklists import TrackLists

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """What recommenders read of a version; it is loaded where one of them may be asked."""

    name: str  # its file, or what messages call it
    load: Callable[[Version], T | None]  # None where the version lacks it


def lists_in(name: str, of: str = "user") -> Part[TrackLists]:
    """Make the part that is a file of lists of listeners, or of tracks."""
    return Part(
        name,
        lambda version: version.read_lists(name, of) if version.has(name) else None,
    )


LISTS: Part[TrackLists] = Part("lists", lambda version: version.lists)
SIMILAR = lists_in("similar.jsonl", of="track")


@dataclass(frozen=True)
class Model:
    """What recommenders draw from."""

    version: str
    created_at: datetime
    folder: Path | None  # None where nothing is published
    catalogue: Catalogue
    text_users: bool  # ids of listeners are text
    recommendations: TrackLists  # by listener
    popular: list[int]  # the tracks that most lists hold, most popular first
    parts: Mapping[str, Any] = field(default_factory=dict)  # by name; read with `get`
    # recommenders that answer for others, which held-out sessions found no better
    instead: Mapping[str, str] = field(default_factory=dict)

    def get(self, part: Part[T]) -> T | None:
        """Return a part; None where the version lacks it."""
        return self.parts.get(part.name)
