from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.cli import run
from looplib.config import load_config
from sim.errors import SimError
from sim.world import PROG, app, make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world, world_digest

DEMO = "configs/world/demo.yaml"
SMALL = [
    "catalogue.tracks=300",
    "catalogue.artists=60",
    "catalogue.genres=9",
    "listeners.listeners=40",
]
FILES = ["tracks.json", "tracks.npy", "users.json", "world.yaml"]


def _small(*overrides: str) -> WorldConfig:
    return load_config(WorldConfig, Path(DEMO), [*SMALL, *overrides])


def _set(overrides: Sequence[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_world(
    tmp_path: Path,
) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 1)):
        make_world(_small(f"seed={seed}"), tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == FILES
    for name in FILES:
        same, other = ((tmp_path / folder / name).read_bytes() for folder in ("b", "c"))
        assert (tmp_path / "a" / name).read_bytes() == same != other
    assert (
        world_digest(tmp_path / "a")
        == world_digest(tmp_path / "b")
        != world_digest(tmp_path / "c")
    )


def test_what_is_written_is_what_the_configuration_says(tmp_path: Path) -> None:
    config = _small("gamma=0.7", "listeners.session_budget=4")
    make_world(config, tmp_path / "w")
    world = load_world(tmp_path / "w")
    assert (world.tracks, world.listeners, world.embeddings.shape) == (
        300,
        40,
        (300, 40),
    )
    assert world.embeddings.dtype == np.float32
    assert len(np.unique(world.artist)) == 60
    assert set(world.gamma) == {0.7}
    assert set(world.session_budget) == {4}
    assert world.consume_bias.min() >= config.listeners.consume_bias.low
    assert world.consume_bias.max() <= config.listeners.consume_bias.high
    assert load_config(WorldConfig, tmp_path / "w" / "world.yaml") == config


def test_tracks_lie_near_their_artists_and_artists_near_their_genres(
    demo_world: Path,
) -> None:
    world, some = load_world(demo_world), slice(None, None, 3)
    embeddings, artist = world.embeddings[some], world.artist[some]
    genres = [
        orjson.loads(line)["genre"]
        for line in (demo_world / "tracks.json").read_bytes().splitlines()
    ]
    genre = np.unique(genres, return_inverse=True)[1][some]
    dots = (embeddings @ embeddings.T).astype(np.float64)
    np.fill_diagonal(dots, np.nan)
    same_artist = artist[:, None] == artist
    same_genre = genre[:, None] == genre
    squared_length = float(np.mean(np.sum(world.embeddings**2, axis=1)))
    near, middle = (
        float(np.nanmean(dots[mask])) / squared_length
        for mask in (same_artist, same_genre & ~same_artist)
    )
    far = float(np.nanmean(dots[~same_genre])) / squared_length
    assert near == pytest.approx(0.9, abs=0.1)
    assert middle == pytest.approx(0.6, abs=0.1)
    assert abs(far) < 0.05


def test_a_listener_has_several_different_interests_and_popular_tracks_are_more_often_among_them(
    demo_world: Path,
) -> None:
    users = [
        orjson.loads(line)
        for line in (demo_world / "users.json").read_bytes().splitlines()
    ]
    tracks = [
        orjson.loads(line)
        for line in (demo_world / "tracks.json").read_bytes().splitlines()
    ]
    assert {len(user["interests"]) for user in users} == {2, 3, 4}
    assert all(len(set(user["interests"])) == len(user["interests"]) for user in users)
    chosen = [
        tracks[track]["popularity"] for user in users for track in user["interests"]
    ]
    assert np.mean(chosen) > 1.5 * np.mean([track["popularity"] for track in tracks])


def test_many_interests_in_a_tiny_catalogue_are_still_different(tmp_path: Path) -> None:
    config = _small(
        "catalogue.tracks=3",
        "catalogue.artists=2",
        "listeners.interests_low=3",
        "listeners.interests_high=3",
    )
    make_world(config, tmp_path / "w")
    interests = load_world(tmp_path / "w").interests.reshape(-1, 3)
    assert all(sorted(row) == [0, 1, 2] for row in interests.tolist())


def main(words: list[str]) -> int:
    return run(app, PROG, words)


def test_the_command_makes_a_world_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--config", DEMO, "--out", str(tmp_path / "w"), *_set(SMALL)]
    assert main(command) == 0
    assert "300 tracks, 60 artists, 40 listeners" in capsys.readouterr().out
    before = world_digest(tmp_path / "w")
    assert main(command) == 0
    assert "nothing done" in capsys.readouterr().out
    assert main([*command, "--set", "seed=3"]) == 2
    assert "another configuration" in capsys.readouterr().err
    assert world_digest(tmp_path / "w") == before


def test_a_missing_option_is_named_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    error = capsys.readouterr().err
    assert "Missing option '--config'" in error
    assert error.count("\n") == 1


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SimError, match=r"holds no world\.yaml"):
        make_world(_small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_world_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise OSError("1000 requested and 0 written")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(SimError, match="cannot be written"):
        make_world(_small(), tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "catalogue.trakcs=5",
            "catalogue.trakcs: unknown key; the nearest known key is tracks",
        ),
        ("catalogue.artists=301", "artists (301) cannot be more than tracks (300)"),
        ("catalogue.genre_share=0.9", "genre_share + artist_share is 1.2, above 1"),
        ("catalogue.tracks=0", "catalogue.tracks"),
        ("gamma=1.5", "gamma: Input should be less than or equal to 1"),
        ("listeners.interests_low=9", "interests_low 9 is above interests_high 4"),
        ("listeners.interests_high=301", "interests_high (301) is above tracks (300)"),
        (
            "listeners.consume_sharpness.low=0",
            "consume_sharpness.low: Input should be greater than 0",
        ),
        ("listeners.consume_bias={low: 2, high: 1}", "low 2.0 is above high 1.0"),
        ("seed=-1", "seed"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert (
        main(
            ["--config", DEMO, "--out", str(tmp_path / "w"), *_set([*SMALL, override])]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "w").exists()


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert (
        "listening-loop world --config configs/world/demo.yaml --out out/demo/world"
        in capsys.readouterr().out
    )
