"""A version of the recommendations in memory, and the artifacts that recommenders read."""

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
class Artifact(Generic[T]):
    """A file of an export that recommenders read; loaded if a recommender needs it."""

    name: str  # for messages
    file: str  # a version without this file lacks the artifact
    load: Callable[[Version], T | None]  # raises any error where the file is damaged


def lists_in(name: str, of: str = "user") -> Artifact[TrackLists]:
    """Make the artifact of a file of lists, each of a listener or of a track."""
    return Artifact(name, name, lambda version: read_track_lists(version, name, of))


LISTS = lists_in("lists")  # the settings name the file
SIMILAR = lists_in("similar.jsonl", of="track")


@dataclass(frozen=True)
class ServedModel:
    """A version in memory, from which recommenders draw."""

    version: str
    created_at: datetime
    catalogue: Catalogue
    text_users: bool  # ids of listeners are text
    folder: Path | None = None  # None if nothing is published
    recommendations: TrackLists = NO_LISTS  # lists, by listener
    # the tracks that most lists hold, most popular first
    popular: Sequence[int] = ()
    skip: float = 0.0  # share of a track below which a play is a skip
    artifacts: Mapping[str, Any] = field(
        default_factory=dict
    )  # loaded files by name, for `get`

    def get(self, artifact: Artifact[T]) -> T | None:
        """Look up an artifact; None where the version lacks it."""
        return self.artifacts.get(artifact.name)
