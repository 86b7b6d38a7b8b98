"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.arrays import read_arrays
from botify.model.catalogue import Catalogue
from botify.model.context import FORMAT, read_context
from botify.model.fold_in import Feedback, FoldIn, Parameters
from botify.model.model import CONTEXT, FACTORS, FOLDING, MANIFEST, NEIGHBOURS, Model
from botify.model.tracklists import NO_LISTS, TrackLists, has_text_users, read_track_lists
from botify.recommenders.registry import parts_read
from botify.settings import Settings
from looplib.arrays import Float32Array
from looplib.checksums import unseal
from looplib.untrusted import open_untrusted, read_untrusted

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
    mean_weight: float | None = None


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
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    feedback: Feedback = msgspec.field(default_factory=Feedback)


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of a version.

    Raises:
        ModelError: There is none, or it is not one.
    """
    path = folder / MANIFEST
    content = read_untrusted(path, LONGEST_MANIFEST, within=folder, error=ModelError)
    try:
        return msgspec.convert(unseal(content), ModelManifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from None


def current_folder(settings: Settings) -> Path:
    """Return the folder that the recommendations are in, links followed: another one is another version.

    Raises:
        ModelError: The links lead in a circle, or no recommendations are configured.
    """
    if settings.recommendations is None:
        raise ModelError("recommendations: none are configured, so there are no versions")
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
    if settings.recommendations is None:
        return _model_of_catalogue(settings, catalogue)
    folder = folder or current_folder(settings)
    manifest = read_manifest(folder)
    _check_catalogue(folder / MANIFEST, manifest, catalogue)
    parts, lists = settings.parts & {*manifest.files, FOLDING}, folder / settings.recommendations.name
    text_users = _kind_of_users(settings, lists, manifest)
    read_lists = partial(_read_lists, manifest=manifest, catalogue=catalogue, text_users=text_users)
    recommendations = read_lists(lists, ("user", "tracks"))
    neighbours = factors = context = None
    if NEIGHBOURS in parts:
        neighbours = read_lists(folder / NEIGHBOURS, ("track", "recommendations"))
    if parts & {FACTORS, FOLDING} and FACTORS in manifest.files:
        factors = _read_factors(folder / FACTORS, manifest, catalogue)
    if CONTEXT in parts:
        with _open(folder / CONTEXT, manifest) as file:
            _check_format(folder / CONTEXT, manifest)
            context = read_context(file, catalogue, text_users=text_users)
    return Model(
        manifest.model,
        manifest.created_at,
        folder,
        catalogue,
        text_users,
        recommendations,
        popular=recommendations.most_listed(POPULAR),
        neighbours=neighbours,
        directions=_directions(factors[1]) if factors and FACTORS in parts else None,
        context=context,
        folding=_make_folding(manifest, *factors) if factors and FOLDING in parts else None,
    )


def _check_format(path: Path, manifest: ModelManifest) -> None:
    found = (manifest.context or _ContextFacts()).format
    if found != FORMAT:
        raise ModelError(f"{path}: format {found} found, this service reads {FORMAT}; export with this release again")


def _check_catalogue(path: Path, manifest: ModelManifest, catalogue: Catalogue) -> None:
    trained_on = manifest.data.catalogue
    if trained_on and trained_on.sha256 != catalogue.sha256:
        raise ModelError(
            f"{path}: trained on another catalogue, of {trained_on.tracks} tracks and sha256 "
            f"{trained_on.sha256[:12]}…; the service has one of {len(catalogue)} tracks and {catalogue.sha256[:12]}…"
        )


def lacking(settings: Settings, model: Model) -> list[str]:
    """Return for each arm whose recommender lacks a part of the model what it lacks, and what answers instead."""
    (decides,) = [experiment for experiment in settings.experiments if experiment.name == settings.decides]
    instead = [name for name in (*settings.fallback.unknown, "random") if parts_read(name) <= model.parts]
    return [
        f"arm {arm.name}: {arm.recommender} needs {' and '.join(sorted(missing))}, which version {model.version} "
        f"lacks; instead: {', '.join(instead)}"
        for arm in decides.arms
        if (missing := parts_read(arm.recommender) - model.parts)
    ]


def _model_of_catalogue(settings: Settings, catalogue: Catalogue) -> Model:
    """Make the model of a service that starts before anything is published."""
    text_users = catalogue.is_text if settings.text_users is None else settings.text_users
    return Model("none", datetime.now(UTC), None, catalogue, text_users, NO_LISTS, [], None, None, None)


def _kind_of_users(settings: Settings, lists: Path, manifest: ModelManifest) -> bool:
    """Return whether the listeners of a version are text, and refuse those of another kind than the settings say."""
    with _open(lists, manifest) as file:
        text_users = has_text_users(file)
    if settings.text_users not in (None, text_users):
        found = "text" if text_users else "whole numbers"
        raise ModelError(f"{lists}: ids of listeners are {found}, and text_users is {settings.text_users}; change it")
    return text_users


def _open(path: Path, manifest: ModelManifest) -> BufferedReader:
    """Open a file of a version, once it is what the manifest says."""
    facts = manifest.files.get(path.name)
    if facts is None:
        raise ModelError(f"{path}: not in the manifest; it has {', '.join(sorted(manifest.files))}")
    return open_untrusted(path, facts.bytes, within=path.parent, sha256=facts.sha256, error=ModelError)


def _read_lists(
    path: Path, keys: tuple[str, str], *, manifest: ModelManifest, catalogue: Catalogue, text_users: bool
) -> TrackLists:
    with _open(path, manifest) as file:
        return read_track_lists(file, keys, manifest.files[path.name].rows, catalogue, text_users=text_users)


def _read_factors(path: Path, manifest: ModelManifest, catalogue: Catalogue) -> tuple[int, Float32Array]:
    """Read how many tracks have factors, and these by track, (tracks, factors); 0 where there are none."""
    shapes = {"tracks": "track tracks", "item_factors": "f tracks factors"}
    with _open(path, manifest) as file:
        arrays, lengths = read_arrays(file, shapes, "factors", catalogue)
    factors = np.zeros((len(catalogue), lengths["factors"]), dtype=np.float32)
    factors[arrays["tracks"]] = arrays["item_factors"]
    return lengths["tracks"], factors


def _directions(factors: Float32Array) -> Float32Array:
    """Scale factors to length 1."""
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    return (factors / np.where(norms > 0, norms, 1)).astype(np.float32)


def _make_folding(manifest: ModelManifest, known: int, factors: Float32Array) -> FoldIn | None:
    """Return what solves a listener's factor; None of a model that is no ALS."""
    try:
        parameters = msgspec.convert(manifest.parameters, Parameters)
    except msgspec.ValidationError:
        return None
    gram = (factors.T @ factors).astype(np.float64)
    return FoldIn(factors, known, gram, parameters, manifest.feedback, manifest.data.mean_weight or 1.0)
