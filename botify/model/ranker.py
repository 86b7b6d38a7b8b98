"""The ranker of the next play that a version has."""

import numpy as np

from botify.model.arrays import Arrays, read_arrays, read_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from looplib import next_play
from looplib.arrays import NO_TRACK, offsets
from looplib.next_play import Facts, Lists, Ranker, split_points
from looplib.trees import Ensemble, Trees


def _load_ranker(version: Version) -> Ranker:
    """Load the ranker that `looplib.next_play` describes, by track number.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
        ValueError: The trees read other features.
    """
    arrays = read_arrays(version, next_play.FILE_NAME, next_play.ARRAYS)
    size = len(version.catalogue)
    numbers = arrays["tracks"]
    is_there = numbers != NO_TRACK
    # a track that was not learned from is alone
    learned = arrays["groups"]
    groups = np.tile(np.arange(size) + learned.max(initial=-1) + 1, (len(learned), 1))
    points = np.zeros((size, arrays["points"].shape[1]), np.float32)
    plays, skips = np.zeros((2, size))
    filled = {"groups": groups.T, "points": points, "plays": plays, "skips": skips}
    for name, array in filled.items():
        values = arrays[name].T if name == "groups" else arrays[name]
        array[numbers[is_there]] = values[is_there]
    near, follows = (_read_lists(arrays, name, size) for name in next_play.LISTS)
    trees = Trees(*(arrays[name] for name in Trees._fields))
    facts = Facts(
        near,
        follows,
        np.split(groups, np.cumsum(arrays["widths"])[:-1]),
        plays,
        skips,
        points=split_points(points, arrays["dimensions"]),
    )
    if not np.isin(arrays["features"], range(facts.feature_count)).all():
        raise ValueError(f"features: 0..{facts.feature_count - 1} are expected")
    return Ranker(facts, Ensemble(trees))


def _read_lists(arrays: Arrays, name: str, size: int) -> Lists:
    """Read lists of tracks that the catalogue has."""
    lists = read_lists(arrays, "tracks", f"{name}_counts", f"{name}_tracks")
    is_there = lists.tracks != NO_TRACK
    before = offsets(is_there)
    starts, ends = np.zeros((2, size), np.int64)
    has_list = lists.ids != NO_TRACK
    owners = lists.ids[has_list]
    starts[owners] = before[lists.starts[has_list]]
    ends[owners] = before[lists.ends[has_list]]
    values = arrays[f"{name}_values"]
    return Lists(starts, ends, lists.tracks[is_there], values[is_there])


LIVE = Artifact(next_play.FILE_NAME, next_play.FILE_NAME, _load_ranker)
