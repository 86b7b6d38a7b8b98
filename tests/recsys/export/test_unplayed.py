"""Tracks of the catalogue that nobody has played are exported by the tracks of their artist."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.dataset import open_dataset
from recsys.dataset.interactions import load_interactions
from recsys.errors import StoreError
from recsys.models.als import Als
from tests.botify.client import read_lines
from tests.botify.exports import read_lists
from tests.recsys.finished import choose_another, finish_run
from tests.recsys.opened import dataset_of, search_of
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import ingest_tables, write_json

pytestmark = pytest.mark.usefixtures("no_processes", "no_reports")
ARTISTS, TRACKS, LISTENERS, PLAYS = 6, 20, 60, 30
Name = Callable[[int], int | str]


def write_plays(folder: Path, name: Name, *, is_released: bool = False) -> Path:
    """Ingest plays in which each listener prefers one artist, and write a catalogue with more.

    Track 20 of each artist is never played, unless it is released: then each listener of the artist
    plays it last. The only track of another artist is never played.
    """
    generator = np.random.default_rng(2)
    rows = []
    for listener in range(LISTENERS):
        for position in range(PLAYS):
            is_own = generator.random() < 0.8
            artist = listener % ARTISTS if is_own else generator.integers(ARTISTS)
            track = 100 * int(artist) + int(generator.integers(TRACKS))
            if is_released and position == PLAYS - 1:
                track = 100 * (listener % ARTISTS) + TRACKS
            rows.append({"u": listener, "i": name(track), "p": position})
    file = write_json(folder / "plays.jsonl", rows)
    ingest_tables(folder, file, columns="user=u,item=i,position=p")
    lines = [
        {"track": name(100 * artist + track), "artist": f"artist {artist}"}
        for artist in range(ARTISTS)
        for track in range(TRACKS + 1)
    ]
    lines.append({"track": name(999), "artist": "alone"})
    return write_json(folder / "tracks.json", lines)


@pytest.mark.parametrize(
    "name", [lambda track: track, "no. {}".format], ids=["numbers", "text"]
)
@pytest.mark.slow
def test_an_unplayed_track_is_listed_and_placed_by_its_artist(
    tmp_path: Path, name: Name
) -> None:
    catalogue = write_plays(tmp_path, name)
    run = finish_run(tmp_path, catalogue=catalogue, split={"kind": "newest"})
    choose_another(run, "blend")
    version = publish_run(run, tmp_path / "out", ExportConfig(top=130))

    for listener, tracks in read_lists(version, "new.jsonl").items():
        new = [name(100 * artist + TRACKS) for artist in range(ARTISTS)]
        listed = [track for track in tracks if track in new]
        assert listed[0] == new[listener % ARTISTS]
    records = read_lines(version / "tracks.json")
    artist_of = {record["track"]: record["artist"] for record in records}
    assert artist_of[name(220)] == "artist 2"
    assert name(999) not in artist_of
    with np.load(version / "factors.npz") as arrays:
        position = {track: i for i, track in enumerate(arrays["tracks"].tolist())}
        items = arrays["item_factors"]
    own = [position[name(200 + track)] for track in range(TRACKS)]
    assert items[position[name(220)]] == pytest.approx(
        items[own].mean(axis=0), rel=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["category", "categories", "vector"])
def test_an_unplayed_track_is_listed_by_another_column(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = write_plays(tmp_path, lambda track: track)
    rows = []
    for row in read_lines(catalogue):
        artist = row["track"] // 100
        value = {
            "category": f"album {artist}",
            "categories": [f"album {artist}", "all"],
            "vector": [float(artist == axis) for axis in range(ARTISTS)],
        }[kind]
        rows.append({"track": row["track"], "album": value, "genre": "rock"})
    write_json(catalogue, rows)
    features = {"album": kind, "genre": "category"}
    settings = {"catalogue": catalogue, "features": features}
    run = finish_run(tmp_path, split={"kind": "newest"}, **settings)
    said = capsys.readouterr().err
    assert said.count("features.genre is left out: it is constant") == 1
    choose_another(run, "blend")
    version = publish_run(run, tmp_path / "out", ExportConfig(top=130))
    new = [*range(TRACKS, 100 * ARTISTS, 100)]
    lists = read_lists(version, "new.jsonl")
    first = [
        next(track for track in tracks if track in new) for tracks in lists.values()
    ]
    preferred = [new[listener % ARTISTS] for listener in lists]
    right = np.equal(first, preferred)
    # the distance to a last play of another artist counts, too
    assert right.all() if kind != "vector" else right.mean() > 0.9


@pytest.mark.slow
def test_what_is_only_held_out_is_not_placed_in_a_search(tmp_path: Path) -> None:
    catalogue = write_plays(tmp_path, lambda track: track)
    config = SearchConfig(
        store=tmp_path / "store",
        run=tmp_path / "run",
        catalogue=catalogue,
        split={"kind": "newest"},
    )
    dataset = dataset_of(config)
    train = load_interactions(dataset, "training")
    played = np.setdiff1d(np.arange(len(dataset.tracks)), train.unplayed)
    assert dataset.tracks[train.unplayed].tolist() == [*range(20, 600, 100)]
    als = Als(factors=4, alpha=1.0)
    als.fit(train, seed=1, threads=1, iterations=2)
    before = als.state["item_factors"][played]
    assert np.array_equal(before, als.factors.item_factors[played])
    assert open_dataset(dataset.address).summary.tracks == ARTISTS * (TRACKS + 1)
    catalogue.write_text('{"track": 5000, "artist": "a", "title": "t"}')
    with pytest.raises(StoreError, match=r"names 0 of the .* leave it out: --set"):
        dataset_of(config)
    catalogue.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        dataset_of(config)


@pytest.mark.slow
def test_a_search_says_which_hits_only_the_catalogue_makes_possible(
    tmp_path: Path,
) -> None:
    catalogue = write_plays(tmp_path, lambda track: track, is_released=True)
    config = SearchConfig(
        store=tmp_path / "store",
        run=tmp_path / "run",
        catalogue=catalogue,
        split={"kind": "newest"},
        models={"blend": {}},
        validation={"ks": [150], "select": "recall@150", "min_time": 1},
    )
    winner = search_of(config)
    released = LISTENERS / (LISTENERS * 150)  # each is a hit, as lists have all tracks
    assert winner.metrics["unplayed_precision@150"].value == pytest.approx(released)
    share = released / winner.metrics["precision@150"].value
    (said,) = (text for text in winner.warnings if "nobody had played" in text)
    assert said.startswith(
        f"{share:.1%} of the winner's hits are of tracks that nobody"
    )
