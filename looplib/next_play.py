"""Describe the tracks that a listener may play next, by all plays up to this moment.

Lists of the night and answers to requests are learned from and made by the features here.
Activation is that of `recsys.models.activation`.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from looplib.arrays import (
    AnyArray,
    AnyFloatArray,
    AnyIntArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
    count_up,
)
from looplib.memory import turn
from looplib.trees import Ensemble

FILE_NAME = "live.npz"
LISTS = ("near", "follows")  # each track has both
# The kind of each array's numbers, f, i or u, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    # number of the artist, then of other categories; a column of lists has several rows
    "groups": "i rows tracks",
    "widths": "i columns",  # rows of each column
    "points": "f tracks dimensions",  # numbers and vectors, side by side
    "dimensions": "i points",  # length of each vector; 1 for a number
    "plays": "f tracks",  # sums over all listeners
    "skips": "f tracks",  # sums over all listeners
    "near_counts": "i tracks",  # tracks in the list of each track
    "near_tracks": "i near",  # these, as positions in `tracks`
    "near_values": "f near",
    "follows_counts": "i tracks",
    "follows_tracks": "i follows",
    "follows_values": "f follows",
    "features": "i conditions",  # these five are fields of `looplib.trees.Trees`
    "thresholds": "f conditions",
    "trees": "i conditions",
    "reachable": "u conditions",
    "leaves": "f trees leaves",
}
CANDIDATES = 120  # tracks ranked for a request; a larger number found no more hits
LATEST = 10  # plays whose near tracks and categories' tracks become candidates
_OF_GROUP = 20  # most played tracks of an artist or category that are candidates
_NEW_OF_GROUP = 100  # its newest tracks that nobody has played, by their number
_UNPLAYED = 3  # a third of the candidates at most are tracks that nobody has played
_FOLLOWED = 3  # latest plays whose followers become candidates
_CUES = 20  # earlier plays of the track just heard
_DISTANCE = 5  # plays after a cue that count
_PASSAGE = 4  # latest plays that are compared with the plays before a cue
_RECENT = 20  # plays
_DECAYS = (1.0, 1.5)  # further decays of activation, beside 0.5
_FADING = 0.8  # decay of a category's plays, and of skips
_FEW = 5  # plays that nobody skips, added to each share of skips

FEATURES = (
    "near to the plays",  # 1 / (plays ago) of each
    "near to the plays, fading slowly",
    "near to the last three",
    "near to the last",
    "follows the last three",  # all listeners' plays
    "follows the last",
    "followed the last before",  # 1 / distance, the listener's own plays
    "followed the last directly",  # plays
    "plays of a passage that it followed",  # the latest plays, heard before
    "activation",
    "activation, fading fast",
    "activation, fading faster",
    "plays",  # the listener's
    "plays since the last",
    "skips",  # the listener's, fading
    "skips by all",  # share of all plays
    "plays by all",
    "plays of the listener",
    "tracks per play",
    "recent tracks per play",
)
# Then these, for the artist and each other category; the first four are 0 of new categories.
CATEGORY_FEATURES = (
    "activation",
    "plays since the last",
    "plays",
    "tracks",  # distinct tracks that the listener has played
    "plays of the category just heard up to now",  # the unbroken run
    "skips",
    "skips by all",
    "plays by all",
)
# Then these, for each number and vector.
POINT_FEATURES = ("distance to the fading mean of the plays", "distance to the last")
# These columns are 0 for tracks that nobody has played.
OF_PLAYED = [
    column
    for column, name in enumerate(FEATURES)
    if name.startswith(("near", "follows", "skips")) or name == "plays by all"
]


NONE = np.empty(0, np.int32)


class Lists(NamedTuple):
    """A list of tracks for each track, `tracks[start:end]`, with their values."""

    starts: IntArray  # one entry a track, like `ends`
    ends: IntArray
    tracks: Int32Array
    values: Float32Array

    def gather(self, owners: AnyIntArray) -> tuple[Int32Array, Float32Array, IntArray]:
        """Gather the lists of some tracks.

        Returns:
            The tracks in them, their values, and which of the lists each is in.
        """
        starts = self.starts[owners]
        counts = self.ends[owners] - starts
        owner = np.repeat(np.arange(len(owners)), counts)
        at = np.arange(len(owner)) + (starts - counts.cumsum() + counts)[owner]
        return self.tracks[at], self.values[at], owner


class Facts:
    """What is known of the tracks, for all listeners."""

    def __init__(
        self,
        near: Lists,
        follows: Lists,
        groups: Sequence[AnyIntArray],
        plays: FloatArray,
        skips: FloatArray,
        unplayed: AnyIntArray = NONE,
        points: Sequence[Float32Array] = (),
        close: Sequence[Lists] = (),
    ) -> None:
        """Keep the arrays.

        Args:
            near: Tracks near to each track.
            follows: Tracks that are played after each track.
            groups: Numbers of each track's artist, and of its categories of other columns, each of
                shape (categories of a track, tracks). A track that has fewer repeats its own.
            plays: Plays by all listeners, shape (tracks,).
            skips: Skips by all listeners, shape (tracks,).
            unplayed: Tracks that nobody has played and a catalogue names: candidates for
                listeners of their categories, beside each category's most played tracks. Other
                tracks without plays do not exist yet.
            points: Numbers and vectors of the tracks, each of shape (tracks, dimensions).
            close: Unplayed tracks with the nearest vectors to each track, by column of vectors.
        """
        self.near = near
        self.follows = follows
        self.groups = groups
        self.plays = plays
        self.skips = skips
        self.points = points
        self.close = close
        self.is_unplayed = np.zeros(len(plays), np.bool_)
        self.is_unplayed[unplayed] = True
        self.skip_share = skips / (plays + skips + _FEW)
        self.group_plays = []
        self.group_skip_shares = []
        self._offered = []
        most_played = np.argsort(-plays, kind="stable")
        most_played = most_played[plays[most_played] > 0]
        for group in groups:
            _, number = np.unique(group, return_inverse=True)
            number = number.reshape(group.shape)
            played, skipped = (
                np.bincount(number.ravel(), np.tile(counts / len(group), len(group)))
                for counts in (plays, skips)
            )
            played, skipped = played[number], skipped[number]
            self.group_plays.append(played.mean(axis=0))
            share = skipped / (played + skipped + _FEW)
            self.group_skip_shares.append(share.mean(axis=0))
            offered, of = np.concatenate(
                [
                    _first_of_groups(most_played, group, _OF_GROUP),
                    _first_of_groups(np.sort(unplayed)[::-1], group, _NEW_OF_GROUP),
                ],
                axis=1,
            )
            order = np.lexsort((offered, of))
            self._offered.append((offered[order], of[order]))
        self._local = threading.local()  # memory that each thread uses again

    def __reduce__(self) -> tuple[type["Facts"], tuple[Any, ...]]:
        """Pickle the arguments."""
        unplayed = np.flatnonzero(self.is_unplayed)
        arrays = self.groups, self.plays, self.skips, unplayed, self.points, self.close
        return Facts, (self.near, self.follows, *arrays)

    @property
    def feature_count(self) -> int:
        """The number of features of a candidate."""
        category_features = len(CATEGORY_FEATURES) * len(self.groups)
        return (
            len(FEATURES) + category_features + len(POINT_FEATURES) * len(self.points)
        )

    def offer(self, column: int, groups: AnyIntArray) -> tuple[AnyIntArray, IntArray]:
        """List candidates of some categories of a column, and the category of each by position."""
        tracks, offered = self._offered[column]
        starts, ends = (
            np.searchsorted(offered, groups, side) for side in ("left", "right")
        )
        group = np.repeat(np.arange(len(groups)), ends - starts)
        first = ends - (ends - starts).cumsum()  # less the tracks of earlier categories
        return tracks[np.arange(len(group)) + first[group]], group

    def number(self, tracks: AnyIntArray) -> tuple[AnyIntArray, IntArray]:
        """Number the distinct tracks among some tracks, faster than by sorting.

        Returns:
            The distinct tracks, and the number of each of the tracks among them.
        """
        if not hasattr(self._local, "places"):
            self._local.places = np.empty(len(self.plays), np.int64)
        places = self._local.places
        positions = np.arange(len(tracks))
        places[tracks] = positions
        distinct = tracks[places[tracks] == positions]
        places[distinct] = positions[: len(distinct)]
        return distinct, places[tracks]


class Ranker(NamedTuple):
    """Ranks the tracks that a listener may play next."""

    facts: Facts
    trees: Ensemble

    def rank(self, plays: Int32Array, taken: Collection[int] = ()) -> AnyIntArray:
        """Rank candidates for the play after some, the newest last.

        Args:
            plays: The listener's tracks; see `describe`.
            taken: Tracks that are left out.
        """
        candidates, features = describe(plays, self.facts, taken)
        if not len(candidates):
            return candidates
        scores = self.trees.predict(features)
        return candidates[np.argsort(-scores, kind="stable")]


def describe(
    plays: Int32Array,
    facts: Facts,
    taken: Collection[int] = (),
    *,
    latest: int = LATEST,
    most: int | None = None,
) -> tuple[AnyIntArray, Float32Array]:
    """Describe the candidates for the play after a listener's plays.

    Args:
        plays: The listener's tracks, the newest last, skips as `looplib.memory.turn` makes them;
            without plays there are no candidates.
        facts: Facts of all tracks.
        taken: Tracks that are no candidates.
        latest: Plays whose near tracks and categories' tracks are candidates.
        most: How many candidates there are at most beside tracks that nobody has played; by
            default `CANDIDATES`.

    Returns:
        The candidates, and their features, shape (candidates, features).
    """
    newest = plays[::-1]
    skips_ago = np.flatnonzero(newest < 0)
    skipped, skip_weights = turn(newest[skips_ago]), (1.0 + skips_ago) ** -_FADING
    newest = newest[newest >= 0]
    if not len(newest):
        return NONE, np.empty((0, facts.feature_count), np.float32)
    ago = np.arange(1.0, len(newest) + 1)
    listed, closeness, cue = facts.near.gather(newest[:latest])
    followers, following, followed = facts.follows.gather(newest[:_FOLLOWED])
    offers = []
    for column, group in enumerate(facts.groups):
        played = group[:, newest[:latest]].T
        distinct, first = np.unique(played, return_index=True)
        offered, of = facts.offer(column, distinct)
        offers.append((offered, 1 / ago[first // len(group)][of]))
    for lists in facts.close:
        offered, _, of = lists.gather(newest[:latest])
        offers.append((offered, 1 / ago[of]))
    sources = (newest, listed, followers, *(offered for offered, _ in offers))
    tracks, number = facts.number(np.concatenate(sources))
    ends = np.cumsum([*map(len, sources)])
    heard, near, after, *by_group = np.split(number, ends[:-1])
    size = len(tracks)

    activation = add_up(heard, ago**-0.5, size)
    near_plays = add_up(near, closeness / ago[cue], size)
    near_three = add_up(near, closeness * (cue < _FOLLOWED), size)
    follows = add_up(after, following / ago[followed], size)
    before, directly, passage = _follow_own(heard, size)

    parts = (near_plays, near_three, follows, activation, before)
    score = sum(part / max(part.max(), 1e-9) for part in parts)
    for places, (_, weights) in zip(by_group, offers, strict=True):
        score = add_up(places, weights, size) + score
    score[np.isin(tracks, [*taken])] = -1
    most = CANDIDATES if most is None else most
    never = facts.is_unplayed[tracks]  # would lose against near tracks
    rows = _select(np.where(never, -1, score), most)
    if never.any():
        offered_rows = _select(np.where(never, score, -1), most // _UNPLAYED)
        rows = np.union1d(rows, offered_rows)

    since = np.zeros(size)
    since[heard[::-1]] = ago[::-1]
    counts = np.bincount(heard, minlength=size)
    recent = heard[:_RECENT]
    columns = [
        near_plays,
        add_up(near, closeness / np.sqrt(ago)[cue], size),
        near_three,
        add_up(near, closeness * (cue == 0), size),
        follows,
        add_up(after, following * (followed == 0), size),
        before,
        directly,
        passage,
        activation,
        *(add_up(heard, ago**-decay, size) for decay in _DECAYS),
        counts,
        since,
    ]
    candidates = tracks[rows]
    described: list[Any] = [
        *(column[rows] for column in columns),
        _add_up_keys(skipped, skip_weights, candidates),
        facts.skip_share[candidates],
        facts.plays[candidates],
        len(heard),
        np.count_nonzero(counts) / len(heard),
        np.count_nonzero(np.bincount(recent)) / len(recent),
    ]
    for column, group in enumerate(facts.groups):
        described += [
            *_describe_group(newest, tracks[counts > 0], candidates, group),
            _add_up_keys(
                group[:, skipped].ravel(),
                np.tile(skip_weights, len(group)) / len(group),
                group[:, candidates],
            ).mean(axis=0),
            facts.group_skip_shares[column][candidates],
            facts.group_plays[column][candidates],
        ]
    for points in facts.points:
        described += _describe_points(newest, candidates, points)
    features = np.empty((len(candidates), len(described)), np.float32)
    for place, values in enumerate(described):
        features[:, place] = values
    return candidates, features


def split_points(points: Float32Array, dimensions: IntArray) -> list[Float32Array]:
    """Split numbers and vectors that stand side by side, shape (tracks, sum of `dimensions`)."""
    return np.split(points, np.cumsum(dimensions[:-1]), axis=1)[: len(dimensions)]


def add_up(places: AnyIntArray, values: AnyArray, size: int) -> FloatArray:
    """Add up values by their places, 0..size-1; shape (size,)."""
    return np.bincount(places, values, size).astype(np.float64, copy=False)


def _select(scores: FloatArray, most: int) -> IntArray:
    """Select the places of the best scores, none below 0."""
    rows = np.flatnonzero(scores >= 0)
    if len(rows) > most:
        rows = np.sort(np.argpartition(-scores, most)[:most])
    return rows


def _follow_own(heard: IntArray, size: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Find the tracks that followed earlier plays of the track just heard.

    Args:
        heard: The listener's tracks by number, the newest first.
        size: Number of tracks.

    Returns:
        For each track, shape (size,): the sum of 1 / distance of its plays after the cues; the
            number of plays directly after a cue; and the longest run of equal plays before a cue
            and before now.
    """
    earlier = np.flatnonzero(heard[1:] == heard[0])[:_CUES] + 1
    before = np.zeros(size)
    for distance in range(1, _DISTANCE + 1):
        followers = heard[earlier[earlier > distance] - distance]
        before += np.bincount(followers, minlength=size) / distance
    earlier = earlier[earlier > 1]
    length = np.ones(len(earlier))
    is_same = np.ones(len(earlier), np.bool_)
    for back in range(1, min(_PASSAGE, len(heard))):
        compared = np.minimum(earlier + back, len(heard) - 1)
        is_same &= (heard[compared] == heard[back]) & (earlier + back < len(heard))
        length += is_same
    followers = heard[earlier - 1]
    passage = np.zeros(size)
    np.maximum.at(passage, followers, length)
    return before, np.bincount(followers, minlength=size), passage


def _describe_group(
    newest: Int32Array,
    heard: AnyIntArray,
    candidates: AnyIntArray,
    group: AnyIntArray,
) -> list[FloatArray | int]:
    """Describe the listener's plays of the candidates' artists, or of another category.

    A play, and a candidate, of several categories belongs to each in part.

    Args:
        newest: The listener's plays, the newest first.
        heard: The distinct tracks of the plays.
        candidates: The tracks to describe.
        group: Numbers of the categories of all tracks.
    """
    width = len(group)
    ago = np.arange(1.0, len(newest) + 1)
    played = group[:, newest]
    changes = np.flatnonzero(~np.isin(played, played[:, 0]).any(axis=0))
    ago = np.repeat(ago, width)
    distinct, first, number = np.unique(
        played.T.ravel(), return_index=True, return_inverse=True
    )
    heard_place = np.searchsorted(distinct, group[:, heard].ravel())
    described = group[:, candidates]
    place = np.searchsorted(distinct, described).clip(max=len(distinct) - 1)
    parts = [
        np.bincount(number, ago**-_FADING),
        *map(np.bincount, (number, heard_place)),
    ]
    fading, plays, tracks = (part / width for part in parts)
    features = np.array([fading, ago[first], plays, tracks])[:, place]
    means = (features * (distinct[place] == described)).mean(axis=1)
    return [*means, int(changes[0]) if len(changes) else len(newest)]


def _add_up_keys(
    keys: AnyIntArray, values: AnyFloatArray, lookup: AnyIntArray
) -> FloatArray:
    """Add up values by their keys, and look up the sums of other keys, 0 without values."""
    if not len(keys):
        return np.zeros(lookup.shape)
    distinct, number = np.unique(keys, return_inverse=True)
    place = np.searchsorted(distinct, lookup).clip(max=len(distinct) - 1)
    sums: FloatArray = np.bincount(number, values)[place] * (distinct[place] == lookup)
    return sums


def _first_of_groups(tracks: AnyIntArray, group: AnyIntArray, most: int) -> AnyIntArray:
    """Keep the first tracks of each category, and their categories; shape (2, pairs)."""
    size = len(tracks)
    keys = np.unique(group[:, tracks].astype(np.int64) * size + np.arange(size))
    of, place = np.divmod(keys, size)
    _, counts = np.unique(of, return_counts=True)
    is_first = count_up(counts) < most
    return np.array([tracks[place[is_first]], of[is_first]])


def _describe_points(
    newest: Int32Array, candidates: AnyIntArray, points: Float32Array
) -> list[FloatArray]:
    """Measure the candidates' distances to the fading mean of the plays, and to the last play."""
    weights = np.arange(1.0, len(newest) + 1) ** -_FADING
    mean = (weights / weights.sum()) @ points[newest]
    described = points[candidates]
    return [
        np.sqrt(((described - center) ** 2).sum(axis=1))
        for center in (mean, points[newest[0]])
    ]
