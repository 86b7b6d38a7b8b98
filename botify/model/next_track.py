"""The next-track model of a version: what is near to each track, and the weights of plays."""

from typing import NamedTuple

from botify.model.arrays import WeightedLists, read_arrays, read_weighted_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from looplib.next_track_file import ARRAYS, FILE_NAME, LISTS


class NextTrack(NamedTuple):
    """The model that `looplib.next_track_file` describes, by track number."""

    near: WeightedLists
    last: WeightedLists
    listener: float
    followed: float


def _load(version: Version) -> NextTrack:
    """Load the model.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    lists = [
        read_weighted_lists(
            arrays,
            "tracks",
            (f"{name}_counts", f"{name}_tracks", f"{name}_values"),
        )
        for name in LISTS
    ]
    return NextTrack(*lists, float(arrays["listener"]), float(arrays["followed"]))


NEXT_TRACK = Artifact(FILE_NAME, FILE_NAME, _load)
