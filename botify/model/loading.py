"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botify.errors import ModelError
from botify.model.catalogue import Catalogue
from botify.model.manifest import Version
from botify.model.model import LISTS, Model, Part
from botify.model.tracklists import read_track_lists

POPULAR = 100


def no_model(catalogue: Catalogue, *, text_users: bool | None = None) -> Model:
    """Return what is served before anything is published: the catalogue alone."""
    is_text = catalogue.is_text if text_users is None else text_users
    return Model("none", datetime.now(UTC), catalogue, is_text)


def load_model(
    recommendations: Path,
    catalogue: Catalogue,
    parts: Collection[Part[Any]],
    *,
    text_users: bool | None = None,
) -> Model:
    """Load a version: its lists, and of the rest the parts that are asked for and that it has.

    Args:
        recommendations: The file of lists; the other files lie beside it.
        catalogue: The tracks that the service knows.
        parts: What recommenders read.
        text_users: Whether ids of listeners are text; None: as in the lists.

    Raises:
        ModelError: A file is missing, is not what the manifest says, or does not fit the catalogue
            or the kind of ids.
    """
    version = Version(recommendations, catalogue)
    lists = read_track_lists(version, recommendations.name)
    if text_users not in (None, lists.is_text):
        kinds = {True: "text", False: "whole numbers"}
        raise ModelError(
            f"{version.folder}: ids of listeners are {kinds[lists.is_text]}, "
            f"and those of the service are {kinds[not lists.is_text]}"
        )
    loaded = {part.name: part.load(version) for part in parts if version.has(part.file)}
    return Model(
        version=version.manifest.model,
        created_at=version.manifest.created_at,
        folder=version.folder,
        catalogue=catalogue,
        text_users=lists.is_text,
        recommendations=lists,
        popular=lists.most_listed(POPULAR),
        parts=loaded | {LISTS.name: lists},
    )
