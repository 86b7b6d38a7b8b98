"""The next-track model of a version: what is near to each track, and each listener's own."""

from botify.model.arrays import WeightedLists, read_arrays, read_weighted_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from looplib.next_track_file import ARRAYS, FILE_NAME


def _load(version: Version) -> tuple[WeightedLists, WeightedLists]:
    """Load the model that `looplib.next_track_file` describes, by track number.

    Returns:
        What is near to each track, and each listener's own plays.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    near_names = ("near_counts", "near_tracks", "near_values")
    listened_names = ("own_counts", "own_tracks", "own_values")
    near = read_weighted_lists(arrays, "tracks", near_names)
    return near, read_weighted_lists(arrays, "users", listened_names)


NEXT_TRACK = Artifact(FILE_NAME, FILE_NAME, _load)
