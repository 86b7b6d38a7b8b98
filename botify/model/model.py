"""An exported version of the recommendations, checked against its manifest and held in compact arrays."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from botify.errors import ModelError
from botify.model.arrays import read_arrays
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
    context: Context | None = None  # None where no recommender asks for it, or the version has none


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileFacts(_Facts):
    """What the manifest says of a file."""

    sha256: str
    bytes: NonNegativeInt
    rows: NonNegativeInt | None = None


class CatalogueFacts(_Facts):
    """The catalogue that the model was trained on."""

    sha256: str
    tracks: NonNegativeInt


class DataFacts(_Facts):
    """What the model was trained on."""

    catalogue: CatalogueFacts | None = None


class Manifest(_Facts):
    """What the service reads of a version's manifest."""

    schema_version: Literal[1] = Field(alias="schema")
    model: str = Field(min_length=1)
    created_at: AwareDatetime
    files: dict[str, FileFacts]
    data: DataFacts = DataFacts()


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a version.

    Raises:
        ModelError: There is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LONGEST_MANIFEST:
            raise ModelError(f"{path}: {path.stat().st_size} bytes found, at most {LONGEST_MANIFEST} are read")
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise ModelError(f"{path}: {where}{': ' if where else ''}{detail['msg']}") from None


def current_folder(settings: Settings) -> Path:
    """The folder that the recommendations are in, links followed: another one is another version."""
    return settings.recommendations.parent.resolve()


def load_model(settings: Settings, catalogue: Catalogue, folder: Path | None = None) -> Model:
    """Loads a version.

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
    recommendations = _read_lists(folder / settings.recommendations.name, manifest, "user", "tracks", len(catalogue))
    neighbours = directions = None
    if settings.recommenders & NEIGHBOUR_USERS:
        path, its_manifest = _place(settings, settings.neighbours, NEIGHBOURS, folder, manifest)
        neighbours = _read_lists(path, its_manifest, "track", "recommendations", len(catalogue))
    if settings.recommenders & FACTOR_USERS:
        path, its_manifest = _place(settings, settings.item_factors, FACTORS, folder, manifest)
        directions = _read_directions(path, its_manifest, len(catalogue))
    held = recommendations.counts(len(catalogue))
    return Model(
        version=manifest.model,
        created_at=manifest.created_at,
        folder=folder,
        catalogue=catalogue,
        recommendations=recommendations,
        popular=[track for track in np.argsort(-held, kind="stable")[:POPULAR].tolist() if held[track]],
        neighbours=neighbours,
        directions=directions,
        context=_find_context(settings, folder, manifest, len(catalogue)),
    )


def _find_context(settings: Settings, folder: Path, manifest: Manifest, tracks: int) -> Context | None:
    """The context model, which a version may be published without."""
    if not settings.recommenders & CONTEXT_USERS or CONTEXT not in manifest.files:
        return None
    path = folder / CONTEXT
    _check_digest(path, sha256_file(path), _facts_of(path, manifest))
    return read_context(path, tracks)


def _place(settings: Settings, path: Path | None, name: str, folder: Path, manifest: Manifest) -> tuple[Path, Manifest]:
    """Where a file is and the manifest that vouches for it: the version's, if it lies beside the recommendations."""
    if path is None:
        return folder / name, manifest
    if path.parent == settings.recommendations.parent:
        return folder / path.name, manifest
    elsewhere = path.parent.resolve()
    return elsewhere / path.name, read_manifest(elsewhere)


def _check_catalogue(folder: Path, manifest: Manifest, catalogue: Catalogue) -> None:
    facts = manifest.data.catalogue
    if facts and facts.sha256 != catalogue.sha256:
        raise ModelError(
            f"{folder / MANIFEST}: trained on another catalogue, of {facts.tracks} tracks and sha256 "
            f"{facts.sha256[:12]}…; the service has one of {len(catalogue)} tracks and {catalogue.sha256[:12]}…"
        )


def _facts_of(path: Path, manifest: Manifest) -> FileFacts:
    """What the manifest says of a file; its size is compared at once."""
    facts = manifest.files.get(path.name)
    if facts is None:
        raise ModelError(f"{path}: not in the manifest; it has {', '.join(sorted(manifest.files))}")
    if path.resolve().parent != path.parent.resolve():
        raise ModelError(f"{path}: a link that leads out of the version's folder")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if size != facts.bytes:
        raise ModelError(f"{path}: {size} bytes found, the manifest says {facts.bytes}")
    return facts


def _check_digest(path: Path, found: str, facts: FileFacts) -> None:
    if found != facts.sha256:
        raise ModelError(f"{path}: sha256 {found[:12]}… found, the manifest says {facts.sha256[:12]}…")


def _read_lists(path: Path, manifest: Manifest, key: str, value: str, tracks: int) -> TrackLists:
    facts = _facts_of(path, manifest)
    if facts.rows is None:
        raise ModelError(f"{path}: the manifest says no number of rows")
    if facts.rows > facts.bytes:
        raise ModelError(f"{path}: the manifest says {facts.rows} rows in {facts.bytes} bytes")
    lists, digest = read_track_lists(path, key, value, facts.rows, tracks)
    _check_digest(path, digest, facts)
    return lists


def _read_directions(path: Path, manifest: Manifest, tracks: int) -> Float32Array:
    """Item factors of length 1 by track id."""
    facts = _facts_of(path, manifest)
    _check_digest(path, sha256_file(path), facts)
    ids, factors = read_arrays(path, ("tracks", "item_factors"), "factors").values()
    if factors.ndim != 2 or factors.dtype.kind != "f" or ids.dtype.kind != "i" or ids.shape != factors.shape[:1]:
        raise ModelError(f"{path}: tracks {ids.shape} and item_factors {factors.shape} do not fit")
    if len(ids) and not (ids.min() >= 0 and ids.max() < tracks):
        raise ModelError(f"{path}: track {ids.max()} found; the catalogue has 0..{tracks - 1}")
    if not np.isfinite(factors).all():
        raise ModelError(f"{path}: item_factors holds NaN or infinite numbers")
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = np.zeros((tracks, factors.shape[1]), dtype=np.float32)
    directions[ids] = factors / np.where(lengths > 0, lengths, 1)
    return directions
