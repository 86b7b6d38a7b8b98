"""An exported version of the recommendations, checked against its manifest and held in compact arrays."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AliasPath, AwareDatetime, BaseModel, Field, NonNegativeInt, ValidationError

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.context import Context, read_context
from botify.model.tracklists import TrackLists, read_track_lists
from botify.settings import Settings
from looplib.arrays import Float32Array
from looplib.files import sha256_file

MANIFEST = "manifest.json"
NEIGHBOURS = "neighbours.jsonl"
FACTORS = "factors.npz"
CONTEXT = "context.npz"
LONGEST_MANIFEST = 2**20
POPULAR = 100
NEIGHBOUR_USERS = frozenset({"contextual"})
FACTOR_USERS = frozenset({"contextual", "session_als"})
CONTEXT_USERS = frozenset({"session_context"})


@dataclass(frozen=True)
class Model:
    """What recommenders draw from."""

    version: str
    created_at: datetime
    folder: Path
    catalogue: Catalogue
    recommendations: TrackLists  # by listener
    popular: list[int]  # the tracks that most lists hold, most popular first
    neighbours: TrackLists | None  # by track; None where no recommender asks for them
    directions: Float32Array | None  # (tracks, factors), item factors of length 1; 0 where there are none
    context: Context | None  # None where no recommender asks for it, or the version has none


class FileFacts(BaseModel):
    """What the manifest says of a file."""

    sha256: str
    bytes: NonNegativeInt
    rows: NonNegativeInt | None = None


class CatalogueFacts(BaseModel):
    """The catalogue that the model was trained on."""

    sha256: str
    tracks: NonNegativeInt


class ModelManifest(BaseModel):
    """What the service reads of a version's manifest."""

    schema_version: Literal[1] = Field(alias="schema")
    model: str = Field(min_length=1)
    created_at: AwareDatetime
    files: dict[str, FileFacts]
    catalogue: CatalogueFacts | None = Field(default=None, validation_alias=AliasPath("data", "catalogue"))


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of a version.

    Raises:
        ModelError: There is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LONGEST_MANIFEST:
            raise ModelError(f"{path}: {path.stat().st_size} bytes found, at most {LONGEST_MANIFEST} are read")
        return ModelManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise ModelError(f"{path}: {where}{': ' if where else ''}{detail['msg']}") from None


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
    _check_catalogue(folder, manifest, catalogue)
    tracks, asked = len(catalogue), settings.recommenders
    recommendations = _read_lists(folder / settings.recommendations.name, manifest, "user", "tracks", tracks)
    neighbours = directions = context = None
    if asked & NEIGHBOUR_USERS:
        neighbours = _read_lists(folder / NEIGHBOURS, manifest, "track", "recommendations", tracks)
    if asked & FACTOR_USERS:
        directions = _read_directions(folder / FACTORS, manifest, tracks)
    if asked & CONTEXT_USERS and CONTEXT in manifest.files:
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


def _check_catalogue(folder: Path, manifest: ModelManifest, catalogue: Catalogue) -> None:
    facts = manifest.catalogue
    if facts and facts.sha256 != catalogue.sha256:
        raise ModelError(
            f"{folder / MANIFEST}: trained on another catalogue, of {facts.tracks} tracks and sha256 "
            f"{facts.sha256[:12]}…; the service has one of {len(catalogue)} tracks and {catalogue.sha256[:12]}…"
        )


def _verify(path: Path, manifest: ModelManifest) -> FileFacts:
    """Check that a file is what the manifest says; returns what that is."""
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
    facts = _verify(path, manifest)
    if facts.rows is None or facts.rows > facts.bytes:
        raise ModelError(f"{path}: the manifest says {facts.rows} rows in {facts.bytes} bytes")
    return read_track_lists(path, key, value, facts.rows, tracks)


def _read_directions(path: Path, manifest: ModelManifest, tracks: int) -> Float32Array:
    """Read item factors and scale them to length 1, by track id."""
    _verify(path, manifest)
    shapes = {"tracks": ("i", ("tracks",)), "item_factors": ("f", ("tracks", "factors"))}
    arrays, lengths = read_arrays(path, shapes, "factors")
    ids, factors = arrays["tracks"], arrays["item_factors"]
    check_ids(path, "tracks", ids, tracks)
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = np.zeros((tracks, lengths["factors"]), dtype=np.float32)
    directions[ids] = factors / np.where(norms > 0, norms, 1)
    return directions
