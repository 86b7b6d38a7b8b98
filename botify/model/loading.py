"""Loading a version of the recommendations: checked against its manifest and the catalogue."""

from collections.abc import Collection
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from botify.errors import ModelError
from botify.model.arrays import check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.fold_in import Feedback, FoldIn, History
from botify.model.model import (
    FACTORS,
    FOLDING,
    HISTORY,
    MANIFEST,
    SESSION_MODEL,
    Model,
)
from botify.model.session_model import SessionModel, read_session_model
from botify.model.tracklists import NO_LISTS, TrackLists, read_track_lists
from looplib.als import AlsParams
from looplib.checksums import unseal
from looplib.session_model_file import FORMAT
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


def version_folder(recommendations: Path) -> Path:
    """Return the folder of a file of lists, links followed: another folder is another version.

    Raises:
        ModelError: The links lead in a circle.
    """
    try:
        return recommendations.parent.resolve()
    except RuntimeError as error:
        raise ModelError(f"{recommendations.parent}: {error}") from None


def no_model(catalogue: Catalogue, *, text_users: bool | None = None) -> Model:
    """Return what is served before anything is published: the catalogue alone."""
    is_text = catalogue.is_text if text_users is None else text_users
    return Model(
        version="none",
        created_at=datetime.now(UTC),
        folder=None,
        catalogue=catalogue,
        text_users=is_text,
        recommendations=NO_LISTS,
        popular=[],
    )


def load_model(
    recommendations: Path,
    catalogue: Catalogue,
    parts: Collection[str],
    *,
    text_users: bool | None = None,
) -> Model:
    """Load a version: its lists, and of the rest the parts that are asked for and that it has.

    Args:
        recommendations: The file of lists; the other files lie beside it.
        catalogue: The tracks that the service knows.
        parts: Parts that recommenders read (`botify.model.model`).
        text_users: Whether ids of listeners are text; None: as in the lists.

    Raises:
        ModelError: A file is missing, is not what the manifest says, or does not fit the catalogue
            or the kind of ids.
    """
    folder = version_folder(recommendations)
    version = _Version(folder, read_manifest(folder), catalogue)
    files = version.manifest.files
    if SESSION_MODEL in parts and "context.npz" in files:
        raise ModelError(
            f"{folder}: context.npz was renamed to {SESSION_MODEL}; export again"
        )
    wanted = set(parts) & files.keys()
    lists = version.read_lists(recommendations.name)
    if text_users not in (None, lists.is_text):
        found, served = "text", "whole numbers"
        if not lists.is_text:
            found, served = served, found
        raise ModelError(
            f"{folder}: ids of listeners are {found}, and those of the service are {served}"
        )
    folding = None
    if FOLDING in parts and FACTORS in files:
        folding = version.read_folding(with_history=HISTORY in wanted)
    session_model = None
    if SESSION_MODEL in wanted:
        session_model = version.read_session_model()
    return Model(
        version=version.manifest.model,
        created_at=version.manifest.created_at,
        folder=folder,
        catalogue=catalogue,
        text_users=lists.is_text,
        recommendations=lists,
        popular=lists.most_listed(POPULAR),
        session_model=session_model,
        folding=folding,
    )


class _Version:
    """Reads the files of a version, each once it is what the manifest says."""

    def __init__(
        self, folder: Path, manifest: ModelManifest, catalogue: Catalogue
    ) -> None:
        self._folder, self.manifest, self._catalogue = folder, manifest, catalogue
        trained_on = manifest.data.catalogue
        if trained_on and trained_on.sha256 != catalogue.sha256:
            theirs = f"{trained_on.tracks} tracks and sha256 {trained_on.sha256[:12]}…"
            ours = f"{len(catalogue)} and {catalogue.sha256[:12]}…"
            raise ModelError(
                f"{folder / MANIFEST}: trained on another catalogue, of {theirs}; "
                f"that of the service has {ours}"
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

    def read_lists(self, name: str) -> TrackLists:
        with self._open(name) as file:
            return read_track_lists(
                file, self.manifest.files[name].rows, self._catalogue
            )

    def read_folding(self, *, with_history: bool) -> FoldIn | None:
        """Return what solves listeners' factors; None where the model is no ALS."""
        manifest = self.manifest
        try:
            params = AlsParams.read(manifest.parameters)
        except ValueError:
            return None
        shapes = {"tracks": "track tracks", "item_factors": "f tracks factors"}
        with self._open(FACTORS) as file:
            arrays, lengths = read_arrays(file, shapes, "factors", self._catalogue)
        # tracks without factors have zeros
        factors = np.zeros((len(self._catalogue), lengths["factors"]), dtype=np.float32)
        factors[arrays["tracks"]] = arrays["item_factors"]
        history = self._read_history() if with_history else None
        unit = manifest.data.mean_weight or 1.0
        return FoldIn(
            factors, lengths["tracks"], params, manifest.feedback, unit, history
        )

    def _read_history(self) -> History:
        shapes = {
            "users": "user listeners",
            "counts": "i listeners",
            "tracks": "track tracks",
            "heard": "i pairs",
            "values": "f pairs",
        }
        with self._open(HISTORY) as file:
            arrays, lengths = read_arrays(file, shapes, "a history", self._catalogue)
        check_ids(file.name, "heard", arrays["heard"], lengths["tracks"])
        check_ids(file.name, "counts", arrays["counts"], lengths["pairs"] + 1)
        if arrays["counts"].sum() != lengths["pairs"]:
            total = arrays["counts"].sum()
            raise ModelError(
                f"{file.name}: counts add up to {total}, not {lengths['pairs']} pairs"
            )
        values = arrays["values"]
        if self.manifest.feedback.scale == "log":
            values = np.where(values > 0, np.expm1(values), values)
        ends = arrays["counts"].cumsum()
        starts = ends - arrays["counts"]
        by_user = np.argsort(arrays["users"])
        return History(
            users=arrays["users"][by_user],
            starts=starts[by_user],
            ends=ends[by_user],
            tracks=arrays["tracks"].astype(np.int32)[arrays["heard"]],
            values=values,
            filter_seen=self.manifest.lists.filter_seen,
        )

    def read_session_model(self) -> SessionModel:
        with self._open(SESSION_MODEL) as file:
            found = (self.manifest.session_model or {}).get("format", 1)
            if found != FORMAT:
                raise ModelError(
                    f"{file.name}: format {found} found, this service reads {FORMAT}; "
                    "export with this release again"
                )
            return read_session_model(file, self._catalogue)
