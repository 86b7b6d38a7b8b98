"""The next-track model of a version: what is near to each track, and each listener's own."""

from botify.model.arrays import WeightedLists, read_arrays, read_weighted_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from looplib.next_track_file import ARRAYS, FILE_NAME, PARTS


def _load(version: Version) -> list[WeightedLists]:
    """Load the model that `looplib.next_track_file` describes, by track number.

    Returns:
        The lists of its `PARTS`.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    return [
        read_weighted_lists(
            arrays, ids, (f"{part}_counts", f"{part}_tracks", f"{part}_values")
        )
        for part, ids in PARTS.items()
    ]


NEXT_TRACK = Artifact(FILE_NAME, FILE_NAME, _load)
