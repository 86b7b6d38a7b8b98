"""Columns of features that say nothing about the next play are left out."""

import numpy as np
import pytest

from looplib.arrays import offsets
from recsys.dataset.features import Columns, FeatureKind, make_features
from recsys.dataset.interactions import Plays
from recsys.dataset.noise import mark_noise

TRACKS, LISTENERS, PLAYS = 400, 40, 60
KINDS: dict[str, FeatureKind] = {
    "album": "category",
    "mood": "category",
    "genres": "categories",
    "year": "number",
    "tempo": "number",
    "sound": "vector",
    "noise": "vector",
}


def play_albums(generator: np.random.Generator) -> Plays:
    """Play albums of ten tracks, four tracks of each in a row."""
    albums = generator.integers(TRACKS // 10, size=(LISTENERS, PLAYS // 4, 1))
    tracks = 10 * albums + generator.integers(10, size=(LISTENERS, PLAYS // 4, 4))
    counts = np.full(LISTENERS, PLAYS)
    return Plays(offsets(counts), tracks.ravel().astype(np.int32))


@pytest.mark.parametrize("seed", range(5))
def test_columns_are_noise_if_consecutive_tracks_are_no_more_alike_in_them(
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    plays = play_albums(generator)
    names = [str(track) for track in range(TRACKS)]
    albums = [track // 10 for track in range(TRACKS)]
    axes = generator.normal(size=(TRACKS // 10, 4))
    values = {
        "album": [[str(album)] for album in albums],
        "mood": [[str(mood)] for mood in generator.integers(20, size=TRACKS)],
        "genres": [["all", f"genre {album % 4}"] for album in albums],
        "year": [1980 + album % 30 for album in albums],
        "tempo": generator.normal(size=TRACKS).tolist(),
        "sound": [axes[album].tolist() for album in albums],
        "noise": generator.normal(size=(TRACKS, 4)).tolist(),
    }
    columns: Columns = {
        name: dict(zip(names, column, strict=True)) for name, column in values.items()
    }
    features = make_features([""] * TRACKS, columns, KINDS, names, TRACKS)
    is_noise = mark_noise(features, plays, np.zeros(len(plays.tracks), np.bool_))
    noise = [name for name, flag in zip(features.names, is_noise, strict=True) if flag]
    assert noise == ["mood", "tempo", "noise"]

    kept = features.drop(is_noise)
    assert [*kept.names] == ["album", "genres", "year", "sound"]
    assert [len(group) for group in kept.split_groups] == [1, 1, 2]
    assert [points.shape[1] for points in kept.split_points] == [1, 4]
    assert np.array_equal(kept.split_groups[2], features.split_groups[3])
    assert np.array_equal(kept.split_points[1], features.split_points[2])


def test_held_out_plays_decide_nothing() -> None:
    plays = play_albums(np.random.default_rng(0))
    columns: Columns = {"album": {str(t): [str(t // 10)] for t in range(TRACKS)}}
    names = [*columns["album"]]
    features = make_features([""] * TRACKS, columns, KINDS, names, TRACKS)
    # half of the plays are at random
    tracks = np.random.default_rng(1).permutation(plays.tracks)
    is_heldout = plays.age <= PLAYS // 2
    mixed = Plays(plays.indptr, np.where(is_heldout, plays.tracks, tracks))
    assert mark_noise(features, mixed, is_heldout) == [True]
    assert mark_noise(features, mixed, ~is_heldout) == [False]
