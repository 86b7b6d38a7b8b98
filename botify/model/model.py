"""A version of the recommendations in memory, as recommenders read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from botify.model.catalogue import Catalogue
from botify.model.manifest import Version
from botify.model.tracklists import NO_LISTS, TrackLists, read_track_lists

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """What recommenders read of a version; it is loaded where one of them may be asked."""

    name: str  # as messages call it
    file: str  # a version without it lacks the part
    load: Callable[[Version], T | None]


def lists_in(name: str, of: str = "user") -> Part[TrackLists]:
    """Make the part that is a file of lists of listeners, or of tracks."""
    return Part(name, name, lambda version: read_track_lists(version, name, of))


LISTS = lists_in("lists")  # whose file the settings name
SIMILAR = lists_in("similar.jsonl", of="track")


@dataclass(frozen=True)
class Model:
    """What recommenders draw from."""

    version: str
    created_at: datetime
    catalogue: Catalogue
    text_users: bool  # ids of listeners are text
    folder: Path | None = None  # None where nothing is published
    recommendations: TrackLists = NO_LISTS  # by listener
    # the tracks that most lists hold, most popular first
    popular: Sequence[int] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)  # by name; read with `get`

    def get(self, part: Part[T]) -> T | None:
        """Return a part; None where the version lacks it."""
        return self.parts.get(part.name)
