"""Describe the tracks that a listener may play next, by the listener's plays so far.

Training computes the features here, and so does what answers requests, so that they cannot differ.
Activation is that of `recsys.models.activation`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from looplib.arrays import (
    AnyArray,
    AnyIntArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
)

DECAYS = (0.35, 0.8, 1.5)  # of the activations of a track
_DECAY = 0.8  # of the activation of an artist
_LATEST = 3  # plays whose followers count
_CUES = 20  # latest plays that are looked for among the earlier ones
_DISTANCE = 10  # plays after such an earlier one that count

# One column of the features each.
FEATURES = (
    *(f"activation {decay}" for decay in DECAYS),  # 0 of new tracks, like the next two
    "plays since the last",
    "followed the latest plays before",  # in the listener's own plays
    "near to the plays",
    "follows the latest plays",  # in the plays of all listeners
    "activation of the artist",  # 0 of new artists, like the next three
    "plays since the artist's last",
    "the artist's tracks",  # that the listener has played
    "plays of each of the artist's tracks",
    "plays of the track by all",
    "plays of the artist by all",
    "tracks per play",
    "plays of the listener",
)
# Columns that are 0 of tracks that nobody has played.
OF_PLAYED = [
    FEATURES.index(name)
    for name in (
        "near to the plays",
        "follows the latest plays",
        "plays of the track by all",
    )
]


class Rows(NamedTuple):
    """The arrays of a CSR matrix."""

    indptr: IntArray
    columns: Int32Array
    values: Float32Array

    def multiply(self, rows: AnyIntArray, factors: AnyArray, size: int) -> FloatArray:
        """Add up some rows, each times a factor, shape (size,)."""
        starts = self.indptr[rows]
        counts = self.indptr[rows + 1] - starts
        before = np.cumsum(counts) - counts
        at = np.arange(counts.sum()) + np.repeat(starts - before, counts)
        values = self.values[at] * np.repeat(factors, counts)
        return add_up(self.columns[at], values, size)


class TrackFacts(NamedTuple):
    """What is known of the tracks, for all listeners."""

    near: Rows  # closeness to other tracks, shape (tracks, tracks)
    follows: Rows  # the same, of those played later
    by_artist: Rows  # plays of the artist's most played tracks, (artists, tracks)
    unplayed: Rows  # 1 for the artist's tracks that nobody has played
    artists: Int32Array  # of each track; one of no known artist is alone
    plays: FloatArray  # of each track
    artist_plays: FloatArray  # of each track's artist


def add_up(places: AnyIntArray, values: AnyArray, size: int) -> FloatArray:
    """Add up values by their places, 0..size-1; shape (size,)."""
    return np.bincount(places, values, size).astype(np.float64, copy=False)


def put_together(columns: Sequence[AnyArray | float], rows: int) -> Float32Array:
    """Put columns together, numbers for all rows among them; shape (rows, columns)."""
    features = np.empty((rows, len(columns)), np.float32)
    for place, values in enumerate(columns):
        features[:, place] = values
    return features


def describe(
    plays: Int32Array, facts: TrackFacts, new: int
) -> tuple[IntArray, Float32Array, int]:
    """Describe the candidates for a listener's next plays.

    Args:
        plays: The listener's tracks, the newest last, at least one.
        facts: Of all tracks.
        new: How many tracks that the listener has not played come from each source.

    Returns:
        The candidates, those that were played before first; their features, shape (candidates,
            features); and how many were played before.
    """
    size = len(facts.artists)
    ages = np.arange(len(plays), 0, -1.0)
    heard, track = np.unique(plays, return_inverse=True)
    activations = [add_up(track, ages**-decay, len(heard)) for decay in DECAYS]
    since = np.empty(len(heard))
    since[track] = ages

    artists, artist = np.unique(facts.artists[heard], return_inverse=True)
    artist_of_play = artist[track]
    fading = add_up(artist_of_play, ages**-_DECAY, len(artists))
    artist_since = np.empty(len(artists))
    artist_since[artist_of_play] = ages
    artist_tracks = np.bincount(artist)
    per_track = np.bincount(artist_of_play) / artist_tracks

    latest = plays[: -_LATEST - 1 : -1]
    near = facts.near.multiply(heard, activations[1], size)
    follows = facts.follows.multiply(latest, 1 / np.arange(1, len(latest) + 1), size)
    sources = [
        near,
        follows,
        facts.by_artist.multiply(artists, fading, size),
        facts.unplayed.multiply(artists, fading, size),
    ]
    candidates = np.concatenate([heard, _find_new(sources, heard, new)])

    new_count = len(candidates) - len(heard)

    def of_heard(values: FloatArray) -> FloatArray:
        return np.append(values, np.zeros(new_count))

    their_artists = facts.artists[candidates]
    place = np.searchsorted(artists, their_artists).clip(max=len(artists) - 1)
    is_known = artists[place] == their_artists
    columns = [
        *map(of_heard, activations),
        of_heard(since),
        of_heard(_follow_before(track, len(heard))),
        near[candidates],
        follows[candidates],
        is_known * fading[place],
        is_known * artist_since[place],
        is_known * artist_tracks[place],
        is_known * per_track[place],
        facts.plays[candidates],
        facts.artist_plays[candidates],
        len(heard) / len(plays),
        len(plays),
    ]
    return candidates, put_together(columns, len(candidates)), len(heard)


def _find_new(
    sources: Sequence[FloatArray], heard: AnyIntArray, count: int
) -> IntArray:
    """Find the best tracks of each source that were not heard."""
    best = []
    for scores in sources:
        new = scores.copy()
        new[heard] = 0
        tracks = np.flatnonzero(new)
        if len(tracks) > count:
            tracks = tracks[np.argpartition(-new[tracks], count)[:count]]
        best.append(tracks)
    return np.unique(np.concatenate(best))


def _follow_before(track: IntArray, size: int) -> FloatArray:
    """Add up 1 / distance of each play after an earlier one of the latest tracks."""
    cues = track[-_CUES:]
    factors = add_up(cues, 1 / np.arange(len(cues), 0, -1.0), size)[track]
    factors[-_CUES:] = 0
    sums = np.zeros(size)
    for distance in range(1, _DISTANCE + 1):
        added = factors[:-distance] / distance
        sums += add_up(track[distance:], added, size)
    return sums
