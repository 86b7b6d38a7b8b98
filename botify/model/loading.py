"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

import hashlib
import os
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.context import FORMAT, read_context
from botify.model.files import open_untrusted
from botify.model.model import CONTEXT, FACTORS, MANIFEST, NEIGHBOURS, Model
from botify.model.tracklists import TrackLists, read_track_lists
from botify.settings import Settings
from looplib.arrays import Float32Array

LONGEST_MANIFEST = 2**20
POPULAR = 100

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _FileFacts(msgspec.Struct):
    sha256: str
    bytes: _Count
    rows: _Count | None = None


class _CatalogueFacts(msgspec.Struct):
    sha256: str
    tracks: _Count


class _DataFacts(msgspec.Struct):
    catalogue: _CatalogueFacts | None = None


class _ContextFacts(msgspec.Struct):
    format: int = 1


class ModelManifest(msgspec.Struct):
    """What the service reads of a version's manifest."""

    schema: Literal[1]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    files: dict[str, _FileFacts]
    context: _ContextFacts | None = None
    data: _DataFacts = msgspec.field(default_factory=_DataFacts)


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of a version.

    Raises:
        ModelError: There is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        with open_untrusted(path, LONGEST_MANIFEST) as file:
            return msgspec.json.decode(file.read(LONGEST_MANIFEST), type=ModelManifest)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from None


def current_folder(settings: Settings) -> Path:
    """Return the folder that the recommendations are in, links followed: another one is another version.

    Raises:
        ModelError: The links lead in a circle.
    """
    try:
        return settings.recommendations.parent.resolve()
    except RuntimeError as error:
        raise ModelError(f"{settings.recommendations.parent}: {error}") from None


def load_model(settings: Settings, catalogue: Catalogue, folder: Path | None = None) -> Model:
    """Load a version.

    Args:
        settings: Where it is, and which recommenders will ask it.
        catalogue: The catalogue that it must have been trained on.
        folder: Folder of the version; by default the current one.

    Raises:
        ModelError: A file is missing, is not what the manifest says, or does not fit the catalogue.
    """
    folder = folder or current_folder(settings)
    manifest = read_manifest(folder)
    trained_on = manifest.data.catalogue
    if trained_on and trained_on.sha256 != catalogue.sha256:
        raise ModelError(
            f"{folder / MANIFEST}: trained on another catalogue, of {trained_on.tracks} tracks and sha256 "
            f"{trained_on.sha256[:12]}…; the service has one of {len(catalogue)} tracks and {catalogue.sha256[:12]}…"
        )
    tracks, files = len(catalogue), settings.files
    recommendations = _read_lists(folder / settings.recommendations.name, manifest, "user", "tracks", tracks)
    neighbours = directions = context = None
    if NEIGHBOURS in files:
        neighbours = _read_lists(folder / NEIGHBOURS, manifest, "track", "recommendations", tracks)
    if FACTORS in files:
        directions = _read_directions(folder / FACTORS, manifest, tracks)
    if CONTEXT in files and CONTEXT in manifest.files:
        with _open(folder / CONTEXT, manifest) as file:
            _check_format(folder / CONTEXT, manifest)
            context = read_context(file, tracks)
    counts = recommendations.counts
    return Model(
        version=manifest.model,
        created_at=manifest.created_at,
        folder=folder,
        catalogue=catalogue,
        recommendations=recommendations,
        popular=[track for track in np.argsort(-counts, kind="stable")[:POPULAR].tolist() if counts[track]],
        neighbours=neighbours,
        directions=directions,
        context=context,
    )


def _check_format(path: Path, manifest: ModelManifest) -> None:
    found = (manifest.context or _ContextFacts()).format
    if found != FORMAT:
        raise ModelError(f"{path}: format {found} found, this service reads {FORMAT}; export with this release again")


def _open(path: Path, manifest: ModelManifest) -> BufferedReader:
    """Open a file of a version, once it is what the manifest says."""
    facts = manifest.files.get(path.name)
    if facts is None:
        raise ModelError(f"{path}: not in the manifest; it has {', '.join(sorted(manifest.files))}")
    file = open_untrusted(path, facts.bytes)
    try:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if file.seek(0, os.SEEK_END) != facts.bytes:
            raise ModelError(f"{path}: {file.tell()} bytes found, the manifest says {facts.bytes}")
        if digest != facts.sha256:
            raise ModelError(f"{path}: sha256 {digest[:12]}… found, the manifest says {facts.sha256[:12]}…")
        file.seek(0)
    except OSError as error:
        file.close()
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except ModelError:
        file.close()
        raise
    return file


def _read_lists(path: Path, manifest: ModelManifest, key: str, value: str, tracks: int) -> TrackLists:
    with _open(path, manifest) as file:
        return read_track_lists(file, key, value, manifest.files[path.name].rows, tracks)


def _read_directions(path: Path, manifest: ModelManifest, tracks: int) -> Float32Array:
    """Read item factors and scale them to length 1, by track id."""
    with _open(path, manifest) as file:
        arrays, lengths = read_arrays(file, {"tracks": "i tracks", "item_factors": "f tracks factors"}, "factors")
    ids, factors = arrays["tracks"], arrays["item_factors"]
    check_ids(str(path), "tracks", ids, tracks)
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = np.zeros((tracks, lengths["factors"]), dtype=np.float32)
    directions[ids] = factors / np.where(norms > 0, norms, 1)
    return directions
