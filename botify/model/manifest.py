"""A published version: its manifest, and its files, checked by the manifest."""

import os
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

import msgspec

from botify.errors import ModelError
from botify.model.catalogue import Catalogue
from looplib.checksums import check_format, unseal
from looplib.untrusted import open_untrusted, read_untrusted

MANIFEST = "manifest.json"
SCHEMA = 1  # format of the manifest and of the files that it lists
_LONGEST_MANIFEST = 2**20


class _ListedFile(msgspec.Struct):
    sha256: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class ModelManifest(msgspec.Struct):
    """A version's manifest, as far as the service reads it."""

    schema: int
    model: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    files: dict[str, _ListedFile]
    data: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    # parameters of the model with the factors, if another model made the lists
    factors: dict[str, Any] | None = None
    feedback: dict[str, Any] = {}  # how listening became the values of the fit
    lists: dict[str, Any] = {}


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of a version.

    Raises:
        ModelError: The file is missing, or no manifest.
    """
    path = folder / MANIFEST
    content = read_untrusted(path, _LONGEST_MANIFEST, within=folder, error=ModelError)
    try:
        document = unseal(content)
        check_format(document, SCHEMA, path, "export again", ModelError)
        return msgspec.convert(document, ModelManifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from None


def version_folder(recommendations: Path) -> Path:
    """Resolve the folder of a file of lists: another folder is another version."""
    return Path(os.path.realpath(recommendations.parent))


class Version:
    """A version on the disk, which checks each file by the manifest before it opens it."""

    def __init__(self, recommendations: Path, catalogue: Catalogue) -> None:
        """Read the manifest beside the file of lists.

        Raises:
            ModelError: It cannot be read, or is of another catalogue.
        """
        self.folder = version_folder(recommendations)
        self.catalogue = catalogue
        self.manifest = read_manifest(self.folder)
        trained_on = self.manifest.data.get("catalogue") or {}
        # Listeners have played tracks that the catalogue of the service lacked.
        self.may_lack = bool(trained_on.get("own_ids") and catalogue.numbers)
        digest = trained_on.get("sha256", catalogue.sha256)
        if digest != catalogue.sha256 and not self.may_lack:
            raise ModelError(
                f"{self.folder / MANIFEST}: trained on another catalogue, of "
                f"{trained_on.get('tracks')} tracks and sha256 {digest[:12]}…; "
                f"the service's catalogue has {len(catalogue)} and {catalogue.sha256[:12]}…"
            )

    def open(self, name: str) -> BufferedReader:
        """Open a file for reading.

        Raises:
            ModelError: The file does not fit the manifest.
        """
        path, entry = self.folder / name, self.manifest.files.get(name)
        if entry is None:
            raise ModelError(
                f"{path}: not in the manifest; it has {', '.join(sorted(self.manifest.files))}"
            )
        return open_untrusted(
            path,
            entry.bytes,
            within=self.folder,
            sha256=entry.sha256,
            error=ModelError,
        )
