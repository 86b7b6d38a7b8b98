"""Describe the tracks that a listener may play next, by all plays up to this moment.

Lists of the night and answers to requests are learned from and made by the features here.
Activation is that of `recsys.models.activation`.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from looplib.arrays import (
    AnyArray,
    AnyIntArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
    count_up,
)
from looplib.trees import Ensemble

FILE_NAME = "live.npz"
LISTS = ("near", "follows")  # of each track
# The kind of each array's numbers, f, i or u, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "artists": "i tracks",  # one number an artist
    "plays": "f tracks",  # by all listeners
    "near_counts": "i tracks",  # tracks in the list of each track
    "near_tracks": "i near",  # these, as positions in `tracks`
    "near_values": "f near",
    "follows_counts": "i tracks",
    "follows_tracks": "i follows",
    "follows_values": "f follows",
    "features": "i conditions",  # of `looplib.trees.Trees`, like the next four
    "thresholds": "f conditions",
    "trees": "i conditions",
    "reachable": "u conditions",
    "leaves": "f trees leaves",
}
CANDIDATES = 120  # that are ranked for a request; more find no more
LATEST = 10  # plays whose near tracks and artists' tracks are candidates then
_OF_ARTIST = 20  # most played tracks of an artist that are candidates
_UNPLAYED = 3  # at most a third of the candidates are tracks that nobody has played
_FOLLOWED = 3  # latest plays whose followers are
_CUES = 20  # earlier plays of the track just heard
_DISTANCE = 5  # plays after these that count
_PASSAGE = 4  # plays up to now that are compared with those up to an earlier one
_RECENT = 20  # plays
_DECAYS = (1.0, 1.5)  # of activations, beside 0.5

FEATURES = (
    "near to the plays",  # 1 / (plays ago) of each
    "near to the plays, fading slowly",
    "near to the last three",
    "near to the last",
    "follows the last three",  # in the plays of all listeners
    "follows the last",
    "followed the last before",  # in the listener's own plays, 1 / distance
    "followed the last directly",  # plays
    "plays of a passage that it followed",  # which ends as the plays do now
    "activation",
    "activation, fading fast",
    "activation, fading faster",
    "plays",  # by the listener
    "plays since the last",
    "activation of the artist",  # 0 of new artists, like the next three
    "plays since the artist's last",
    "plays of the artist",
    "the artist's tracks",  # that the listener has played
    "plays of the artist just heard up to now",  # without another between
    "plays by all",
    "plays of the artist by all",
    "plays of the listener",
    "tracks per play",
    "recent tracks per play",
)
# These columns are 0 for tracks that nobody has played.
OF_PLAYED = [
    column
    for column, name in enumerate(FEATURES)
    if name.startswith(("near", "follows")) or name == "plays by all"
]


NONE = np.empty(0, np.int32)


class Lists(NamedTuple):
    """A list of tracks for each track, `tracks[start:end]`, and what each adds."""

    starts: IntArray  # by track, like `ends`
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
        artists: AnyIntArray,
        plays: FloatArray,
        unplayed: AnyIntArray = NONE,
    ) -> None:
        """Keep the arrays.

        Args:
            near: Tracks near to each.
            follows: Tracks that are played after each.
            artists: One number an artist, shape (tracks,).
            plays: By all listeners, shape (tracks,).
            unplayed: Tracks that nobody has played and a catalogue names: candidates for
                listeners of their artists, beside each artist's most played tracks. Other tracks
                without plays do not exist yet.
        """
        self.near = near
        self.follows = follows
        self.artists = artists
        self.plays = plays
        self.is_unplayed = np.zeros(len(artists), np.bool_)
        self.is_unplayed[unplayed] = True
        _, number = np.unique(artists, return_inverse=True)
        self.artist_plays = np.bincount(number, plays)[number]
        order = np.lexsort((-plays, number))
        place = count_up(np.bincount(number))
        is_offered = (place < _OF_ARTIST) & (plays[order] > 0)
        offered = np.union1d(order[is_offered], unplayed)
        self._offered = offered[np.argsort(artists[offered], kind="stable")]
        self._offered_artists = artists[self._offered]
        self._local = threading.local()  # memory that each thread uses again

    def __reduce__(self) -> tuple[type["Facts"], tuple[Any, ...]]:
        """Pickle what the object is made of."""
        unplayed = np.flatnonzero(self.is_unplayed)
        made_of = (self.near, self.follows, self.artists, self.plays, unplayed)
        return Facts, made_of

    def offer(self, artists: AnyIntArray) -> tuple[AnyIntArray, IntArray]:
        """List candidates by some artists, and which of the artists each is by."""
        starts, ends = (
            np.searchsorted(self._offered_artists, artists, side)
            for side in ("left", "right")
        )
        artist = np.repeat(np.arange(len(artists)), ends - starts)
        first = ends - (ends - starts).cumsum()  # less the tracks of those before
        return self._offered[np.arange(len(artist)) + first[artist]], artist

    def number(self, tracks: AnyIntArray) -> tuple[AnyIntArray, IntArray]:
        """Number the distinct ones of some tracks, faster than by sorting.

        Returns:
            The distinct tracks, and the number of each of the tracks among them.
        """
        if not hasattr(self._local, "places"):
            self._local.places = np.empty(len(self.artists), np.int64)
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
            plays: The listener's tracks.
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
        plays: The listener's tracks, the newest last; without one there are no candidates.
        facts: Facts of all tracks.
        taken: Tracks that are no candidates.
        latest: Plays whose near tracks and artists' tracks are candidates.
        most: How many candidates there are at most beside tracks that nobody has played; by
            default `CANDIDATES`.

    Returns:
        The candidates, and their features, shape (candidates, features).
    """
    if not len(plays):
        return NONE, np.empty((0, len(FEATURES)), np.float32)
    newest = plays[::-1]
    ago = np.arange(1.0, len(plays) + 1)
    listed, closeness, cue = facts.near.gather(newest[:latest])
    followers, following, followed = facts.follows.gather(newest[:_FOLLOWED])
    artists, first = np.unique(facts.artists[newest[:latest]], return_index=True)
    offered, artist = facts.offer(artists)
    groups = (newest, listed, followers, offered)
    tracks, number = facts.number(np.concatenate(groups))
    ends = np.cumsum([*map(len, groups)])
    heard, near, after, by_artist = np.split(number, ends[:-1])
    size = len(tracks)

    activation = add_up(heard, ago**-0.5, size)
    near_plays = add_up(near, closeness / ago[cue], size)
    near_three = add_up(near, closeness * (cue < _FOLLOWED), size)
    follows = add_up(after, following / ago[followed], size)
    before, directly, passage = _follow_own(heard, size)

    parts = (near_plays, near_three, follows, activation, before)
    score = add_up(by_artist, 1 / ago[first][artist], size)
    score += sum(part / max(part.max(), 1e-9) for part in parts)
    score[np.isin(tracks, [*taken])] = -1
    most = CANDIDATES if most is None else most
    never = facts.is_unplayed[tracks]  # would lose against near ones
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
    changes = np.flatnonzero(facts.artists[newest] != facts.artists[newest[0]])
    described = [
        *(column[rows] for column in columns),
        *_describe_artists(newest, tracks[counts > 0], candidates, facts.artists),
        changes[0] if len(changes) else len(heard),
        facts.plays[candidates],
        facts.artist_plays[candidates],
        len(heard),
        np.count_nonzero(counts) / len(heard),
        np.count_nonzero(np.bincount(recent)) / len(recent),
    ]
    features = np.empty((len(candidates), len(described)), np.float32)
    for place, values in enumerate(described):
        features[:, place] = values
    return candidates, features


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
    """Find what followed earlier plays of the track just heard.

    Args:
        heard: The listener's tracks by number, the newest first.
        size: How many numbers there are.

    Returns:
        Of each track 1 / distance of its plays after these, how many came directly, and the most
            plays before one of them that are those before now.
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


def _describe_artists(
    newest: Int32Array,
    heard: AnyIntArray,
    candidates: AnyIntArray,
    artists: AnyIntArray,
) -> FloatArray:
    """Describe what the listener has played of the candidates' artists; a row a feature.

    Args:
        newest: The listener's plays, the newest first.
        heard: The distinct tracks of these.
        candidates: What is described.
        artists: One number an artist, of all tracks.
    """
    ago = np.arange(1.0, len(newest) + 1)
    distinct, artist = np.unique(artists[newest], return_inverse=True)
    since = np.empty(len(distinct))
    since[artist[::-1]] = ago[::-1]
    tracks = np.bincount(np.searchsorted(distinct, artists[heard]))
    described = artists[candidates]
    place = np.searchsorted(distinct, described).clip(max=len(distinct) - 1)
    values = [np.bincount(artist, ago**-0.8), since, np.bincount(artist), tracks]
    features: FloatArray = np.array(values)[:, place] * (distinct[place] == described)
    return features
