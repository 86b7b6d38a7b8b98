"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.context import read_context
from botify.model.model import CONTEXT, FACTORS, MANIFEST, NEIGHBOURS, Model
from botify.model.tracklists import TrackLists, read_track_lists
from botify.settings import Settings
from looplib.arrays import Float32Array
from looplib.files import sha256_file

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


class ModelManifest(msgspec.Struct):
    """What the service reads of a version's manifest."""

    schema: Literal[1]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    files: dict[str, _FileFacts]
    data: _DataFacts = msgspec.field(default_factory=_DataFacts)


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of a version.

    Raises:
        ModelError: There is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LONGEST_MANIFEST:
            raise ModelError(f"{path}: {path.stat().st_size} bytes found, at most {LONGEST_MANIFEST} are read")
        return msgspec.json.decode(path.read_bytes(), type=ModelManifest)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}") from None


def current_folder(settings: Settings) -> Path:
    """Return the folder that the recommendations are in, links followed: another one is another version."""
    return settings.recommendations.parent.resolve()


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
        _verify(folder / CONTEXT, manifest)
        context = read_context(folder / CONTEXT, tracks)
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


def _verify(path: Path, manifest: ModelManifest) -> _FileFacts:
    """Return what the manifest says of a file, once the file is that."""
    facts = manifest.files.get(path.name)
    if facts is None:
        raise ModelError(f"{path}: not in the manifest; it has {', '.join(sorted(manifest.files))}")
    if path.resolve().parent != path.parent.resolve():
        raise ModelError(f"{path}: a link that leads out of the version's folder")
    try:
        size = path.stat().st_size
        if size != facts.bytes:
            raise ModelError(f"{path}: {size} bytes found, the manifest says {facts.bytes}")
        digest = sha256_file(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if digest != facts.sha256:
        raise ModelError(f"{path}: sha256 {digest[:12]}… found, the manifest says {facts.sha256[:12]}…")
    return facts


def _read_lists(path: Path, manifest: ModelManifest, key: str, value: str, tracks: int) -> TrackLists:
    return read_track_lists(path, key, value, _verify(path, manifest).rows, tracks)


def _read_directions(path: Path, manifest: ModelManifest, tracks: int) -> Float32Array:
    """Read item factors and scale them to length 1, by track id."""
    _verify(path, manifest)
    arrays, lengths = read_arrays(path, {"tracks": "i tracks", "item_factors": "f tracks factors"}, "factors")
    ids, factors = arrays["tracks"], arrays["item_factors"]
    check_ids(path, "tracks", ids, tracks)
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = np.zeros((tracks, lengths["factors"]), dtype=np.float32)
    directions[ids] = factors / np.where(norms > 0, norms, 1)
    return directions
