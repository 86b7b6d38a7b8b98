"""The session model of a version, read from its file."""

from botify.errors import ModelError
from botify.model.arrays import by_number, check_ids, read_arrays
from botify.model.manifest import Version
from botify.model.model import Part
from looplib.session_model import ARRAYS, FILE_NAME, FORMAT, SessionModel


def _load(version: Version) -> SessionModel:
    """Load the model.

    Raises:
        ModelError: The file is damaged, of another release, or does not fit the catalogue.
    """
    path, facts = version.folder / FILE_NAME, version.manifest.session_model
    found = facts.format if facts else 1
    if found != FORMAT:
        raise ModelError(
            f"{path}: format {found} found, this service reads {FORMAT}; "
            "export with this release again"
        )
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    check_ids(path, "interest_of", arrays["interest_of"], len(arrays["interests"]))
    tracks, factors = arrays["tracks"], arrays["track_factors"]
    arrays["track_factors"] = by_number(tracks, factors, version.catalogue)
    try:
        return SessionModel.make(arrays)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


SESSION_MODEL = Part(FILE_NAME, FILE_NAME, _load)
