"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.fold_in import Feedback, FoldIn, History, Parameters
from botify.model.model import (
    FACTORS,
    FOLDING,
    HISTORY,
    MANIFEST,
    NEIGHBOURS,
    SESSION_MODEL,
    Model,
)
from botify.model.session_model import FORMAT, SessionModel, read_session_model
from botify.model.tracklists import NO_LISTS, TrackLists, read_track_lists
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


class _ListFacts(msgspec.Struct):
    filter_seen: bool = False


class ModelManifest(msgspec.Struct):
    """What the service reads of a version's manifest."""

    schema: Literal[1]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    files: dict[str, _FileFacts]
    session_model: dict[str, Any] | None = None
    data: _DataFacts = msgspec.field(default_factory=_DataFacts)
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    feedback: Feedback = msgspec.field(default_factory=Feedback)
    lists: _ListFacts = msgspec.field(default_factory=_ListFacts)


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
        raise ModelError(
            "recommendations: none are configured, so there are no versions"
        )
    try:
        return settings.recommendations.parent.resolve()
    except RuntimeError as error:
        raise ModelError(f"{settings.recommendations.parent}: {error}") from None


def load_model(
    settings: Settings, catalogue: Catalogue, folder: Path | None = None
) -> Model:
    """Load a version, by default the current one, with what the recommenders in the settings read.

    Raises:
        ModelError: A file is missing, is not what the manifest says, or does not fit the catalogue
            or the settings.
    """
    text_users = settings.text_users
    if settings.recommendations is None:  # before anything is published
        is_text = catalogue.is_text if text_users is None else text_users
        return Model(
            "none",
            datetime.now(UTC),
            None,
            catalogue,
            is_text,
            NO_LISTS,
            [],
            None,
            None,
            None,
        )
    folder = folder or current_folder(settings)
    version = _Version(folder, read_manifest(folder), catalogue)
    manifest = version.manifest
    if SESSION_MODEL in settings.parts and "context.npz" in manifest.files:
        raise ModelError(
            f"{folder}: context.npz was renamed to {SESSION_MODEL}; export again"
        )
    parts = settings.parts & {*manifest.files, FOLDING}
    lists = version.read_lists(settings.recommendations.name, "user")
    if text_users not in (None, lists.is_text):
        kinds = (
            ["text", "whole numbers"] if lists.is_text else ["whole numbers", "text"]
        )
        raise ModelError(
            f"{folder}: ids of listeners are {kinds[0]}, and those of the service are {kinds[1]}"
        )
    factors = (
        version.read_factors()
        if parts & {FACTORS, FOLDING} and FACTORS in manifest.files
        else None
    )
    return Model(
        manifest.model,
        manifest.created_at,
        folder,
        catalogue,
        lists.is_text,
        lists,
        popular=lists.most_listed(POPULAR),
        neighbours=version.read_lists(NEIGHBOURS, "track")
        if NEIGHBOURS in parts
        else None,
        directions=_directions(factors[1]) if factors and FACTORS in parts else None,
        session_model=version.read_session_model(text_users=lists.is_text)
        if SESSION_MODEL in parts
        else None,
        folding=version.make_folding(*factors, settings)
        if factors and FOLDING in parts
        else None,
    )


def lacking(settings: Settings, model: Model) -> list[str]:
    """Return for each arm whose recommender lacks a part of the model what it lacks, and what answers instead."""
    (decides,) = [
        experiment
        for experiment in settings.experiments
        if experiment.name == settings.decides
    ]
    instead = [
        name
        for name in (*settings.fallback.unknown, "random")
        if parts_read(name) <= model.parts
    ]
    return [
        f"arm {arm.name}: {arm.recommender} needs {' and '.join(sorted(missing))}, which version {model.version} "
        f"lacks; instead: {', '.join(instead)}"
        for arm in decides.arms
        if (missing := parts_read(arm.recommender) - model.parts)
    ]


class _Version:
    """Reads the files of a version, each once it is what the manifest says."""

    def __init__(
        self, folder: Path, manifest: ModelManifest, catalogue: Catalogue
    ) -> None:
        self._folder, self.manifest, self._catalogue = folder, manifest, catalogue
        trained_on = manifest.data.catalogue
        if trained_on and trained_on.sha256 != catalogue.sha256:
            raise ModelError(
                f"{folder / MANIFEST}: trained on another catalogue, of {trained_on.tracks} tracks and sha256 "
                f"{trained_on.sha256[:12]}…; that of the service has {len(catalogue)} and {catalogue.sha256[:12]}…"
            )

    def _open(self, name: str) -> BufferedReader:
        path, facts = self._folder / name, self.manifest.files.get(name)
        if facts is None:
            raise ModelError(
                f"{path}: not in the manifest; it has {', '.join(sorted(self.manifest.files))}"
            )
        return open_untrusted(
            path,
            facts.bytes,
            within=self._folder,
            sha256=facts.sha256,
            error=ModelError,
        )

    def read_lists(self, name: str, key: Literal["user", "track"]) -> TrackLists:
        with self._open(name) as file:
            return read_track_lists(
                file, key, self.manifest.files[name].rows, self._catalogue
            )

    def read_factors(self) -> tuple[int, Float32Array]:
        """Read how many tracks have factors, and these by track, (tracks, factors); 0 where there are none."""
        shapes = {"tracks": "track tracks", "item_factors": "f tracks factors"}
        with self._open(FACTORS) as file:
            arrays, lengths = read_arrays(file, shapes, "factors", self._catalogue)
        factors = np.zeros((len(self._catalogue), lengths["factors"]), dtype=np.float32)
        factors[arrays["tracks"]] = arrays["item_factors"]
        return lengths["tracks"], factors

    def make_folding(
        self, known: int, factors: Float32Array, settings: Settings
    ) -> FoldIn | None:
        """Return what solves listeners' factors, with the history where an arm asks for it; None of another model."""
        manifest = self.manifest
        try:
            parameters = msgspec.convert(manifest.parameters, Parameters)
        except msgspec.ValidationError:
            return None
        history = (
            self._read_history()
            if HISTORY in manifest.files and "fold_in" in settings.asked
            else None
        )
        unit = manifest.data.mean_weight or 1.0
        return FoldIn(factors, known, parameters, manifest.feedback, unit, history)

    def _read_history(self) -> History:
        shapes = {
            "users": "user listeners",
            "counts": "i listeners",
            "tracks": "track tracks",
        }
        with self._open(HISTORY) as file:
            arrays, lengths = read_arrays(
                file,
                shapes | {"heard": "i pairs", "values": "f pairs"},
                "a history",
                self._catalogue,
            )
        check_ids(file.name, "heard", arrays["heard"], lengths["tracks"])
        check_ids(file.name, "counts", arrays["counts"], lengths["pairs"] + 1)
        if arrays["counts"].sum() != lengths["pairs"]:
            raise ModelError(
                f"{file.name}: counts add up to {arrays['counts'].sum()}, not {lengths['pairs']} pairs"
            )
        by_id, ends, values = (
            np.argsort(arrays["users"]),
            arrays["counts"].cumsum(),
            arrays["values"],
        )
        if self.manifest.feedback.scale == "log":
            values = np.where(values > 0, np.expm1(values), values)
        tracks = arrays["tracks"].astype(np.int32)[arrays["heard"]]
        starts = (ends - arrays["counts"])[by_id]
        return History(
            arrays["users"][by_id],
            starts,
            ends[by_id],
            tracks,
            values,
            self.manifest.lists.filter_seen,
        )

    def read_session_model(self, *, text_users: bool) -> SessionModel:
        with self._open(SESSION_MODEL) as file:
            found = (self.manifest.session_model or {}).get("format", 1)
            if found != FORMAT:
                reads = f"format {found} found, this service reads {FORMAT}; export with this release again"
                raise ModelError(f"{file.name}: {reads}")
            return read_session_model(file, self._catalogue, text_users=text_users)


def _directions(factors: Float32Array) -> Float32Array:
    """Scale factors to length 1."""
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    return (factors / np.where(norms > 0, norms, 1)).astype(np.float32)
