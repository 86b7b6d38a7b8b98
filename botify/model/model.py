"""A version of the recommendations in memory, and how it is loaded."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from botify.errors import ModelError
from botify.model.catalogue import Catalogue
from botify.model.manifest import MANIFEST, Version
from botify.model.tracklists import NO_LISTS, TrackLists, read_track_lists

T = TypeVar("T")
POPULAR = 100  # tracks


@dataclass(frozen=True)
class Artifact(Generic[T]):
    """A file of an export that recommenders read; it is loaded where one of them may be asked."""

    name: str  # as messages call it
    file: str  # a version without this file lacks the artifact
    load: Callable[[Version], T | None]  # raises any error where the file is damaged


def lists_in(name: str, of: str = "user") -> Artifact[TrackLists]:
    """Make the artifact of a file of lists, each of a listener or of a track."""
    return Artifact(name, name, lambda version: read_track_lists(version, name, of))


LISTS = lists_in("lists")  # whose file the settings name
SIMILAR = lists_in("similar.jsonl", of="track")


@dataclass(frozen=True)
class ServedModel:
    """A version in memory, from which recommenders draw."""

    version: str
    created_at: datetime
    catalogue: Catalogue
    text_users: bool  # ids of listeners are text
    folder: Path | None = None  # None where nothing is published
    recommendations: TrackLists = NO_LISTS  # by listener
    # the tracks that most lists hold, most popular first
    popular: Sequence[int] = ()
    artifacts: Mapping[str, Any] = field(default_factory=dict)  # by name, for `get`

    def get(self, artifact: Artifact[T]) -> T | None:
        """Look up an artifact; None where the version lacks it."""
        return self.artifacts.get(artifact.name)


def load_model(
    recommendations: Path,
    catalogue: Catalogue,
    artifacts: Collection[Artifact[Any]],
    *,
    text_users: bool | None = None,
) -> ServedModel:
    """Load a version: its lists, and those of the artifacts that it has.

    Args:
        recommendations: The file of lists; the other files lie beside it.
        catalogue: The tracks that the service knows.
        artifacts: What recommenders read.
        text_users: Whether ids of listeners are text; None: as in the lists.

    Raises:
        ModelError: A file is missing, is not what the manifest says, or does not fit the catalogue
            or the kind of ids.
    """
    file = MANIFEST  # that is read
    try:
        version = Version(recommendations, catalogue)
        file = recommendations.name
        lists = read_track_lists(version, file)
        loaded: dict[str, Any] = {LISTS.name: lists}
        for artifact in artifacts:
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
    return ServedModel(
        version=version.manifest.model,
        created_at=version.manifest.created_at,
        folder=version.folder,
        catalogue=catalogue,
        text_users=lists.is_text,
        recommendations=lists,
        popular=lists.most_listed(POPULAR),
        artifacts=loaded,
    )
