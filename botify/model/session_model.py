"""The session model of a version, read from its file."""

from io import BufferedReader

from botify.errors import ModelError
from botify.model.arrays import by_number, check_ids, read_arrays
from botify.model.catalogue import Catalogue
from botify.model.manifest import Version
from botify.model.model import Part
from looplib.session_model import ARRAYS, FILE_NAME, FORMAT, SessionModel


def read_session_model(
    file: BufferedReader, catalogue: Catalogue, *, may_lack: bool = False
) -> SessionModel:
    """Read a session model for a catalogue, which may lack some of its tracks if that is said.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays, lengths = read_arrays(
        file, ARRAYS, "a session model", catalogue, may_lack=may_lack
    )
    check_ids(file.name, "interest_of", arrays["interest_of"], lengths["interests"])
    factors = by_number(arrays["tracks"], arrays["track_factors"], catalogue)
    try:
        return SessionModel.make({**arrays, "track_factors": factors})
    except ValueError as error:
        raise ModelError(f"{file.name}: {error}") from None


def _load(version: Version) -> SessionModel | None:
    if not version.has(FILE_NAME):
        return None
    facts = version.manifest.session_model
    found = facts.format if facts else 1
    if found != FORMAT:
        raise ModelError(
            f"{version.folder / FILE_NAME}: format {found} found, this service reads {FORMAT}; "
            "export with this release again"
        )
    with version.open(FILE_NAME) as file:
        return read_session_model(file, version.catalogue, may_lack=version.may_lack)


SESSION_MODEL = Part(FILE_NAME, _load)
