"""The next-track model: what is published of a table of sessions, and served, by a reference."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from botify.model.catalogue import user_number
from botify.model.model import ServedModel
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Query
from botify.recommenders.registry import RECOMMENDERS
from botify.service import load_configured
from looplib.arrays import NO_TRACK
from looplib.next_play import describe
from looplib.progress import console
from recsys.config import ExportConfig, NextTrackConfig, SearchConfig
from recsys.export.export import export_run
from recsys.next_track.live import write_ranker
from recsys.next_track.model import NextTrackModel
from recsys.next_track.score import HELD_OUT
from recsys.next_track.sessions import load_sessions
from recsys.store.ids import originals
from recsys.store.reader import open_store
from tests.botify.exports import make_settings, read_manifest
from tests.conftest import Run
from tests.recsys.finished import finish_run
from tests.recsys.opened import dataset_of
from tests.recsys.tables import ingest_tables

LISTENERS, TRACKS, ARTISTS = 40, 60, 12
COLUMNS = "user=u,item=i,timestamp=ts,session=s,artist=a"
RNG = np.random.default_rng(0)


def draw_plays(*, is_taste: bool) -> pd.DataFrame:
    """Draw sessions, most of whose tracks follow the one before in the catalogue."""
    generator, rows = np.random.default_rng(3), []
    for session in range(300):
        user, track = f"u{session % LISTENERS}", int(generator.integers(TRACKS))
        for place in range(int(generator.integers(2, 9))):
            rows.append((user, f"t{track}", session, 9000 * session + place))
            follows = is_taste and generator.random() < 0.8
            jump = 7 if follows else int(generator.integers(TRACKS))
            track = (track + jump) % TRACKS
    table = pd.DataFrame(rows, columns=["u", "i", "s", "ts"])
    number = table["i"].str[1:].astype(int)
    artist = (number % ARTISTS).astype(str)
    return table.assign(
        a=artist.where(number % 10 > 0)
    )  # of a tenth no artist is known


def publish(folder: Path, plays: pd.DataFrame, *, publish_anyway: bool = False) -> None:
    plays.to_csv(folder / "plays.csv", index=False)
    ingest_tables(folder, folder / "plays.csv", columns=COLUMNS)
    section = NextTrackConfig(window=3, neighbours=TRACKS)
    run_folder = finish_run(folder, next_track=section)
    export_run(run_folder, folder, ExportConfig(publish_anyway=publish_anyway))


def read_section(folder: Path) -> Any:  # noqa: ANN401  JSON
    return read_manifest(folder / "current")["next_track"]


def serve(folder: Path, recommender: str = "next_track") -> ServedModel:
    catalogue = folder / "current" / "tracks.json"
    return load_configured(make_settings(folder, catalogue, recommender))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sessions")
    publish(folder, draw_plays(is_taste=True), publish_anyway=True)
    return folder


def near_by_hand(
    sessions: Iterable[list[str]], track: str, window: int = 3, backward: float = 0.5
) -> dict[str, float]:
    """Count what was played near a track, what was played before it for a part."""
    near: dict[str, float] = defaultdict(float)
    for heard in sessions:
        for (at, one), (to, other) in product(enumerate(heard), enumerate(heard)):
            if one == track != other and abs(to - at) <= window:
                near[other] += (1 if to > at else backward) / abs(to - at)
    return near


def second_by_hand(sessions: Iterable[list[str]], track: str) -> dict[str, float]:
    """Add up what is near to what is near."""
    second: dict[str, float] = defaultdict(float)
    for between, share in shares(near_by_hand(sessions, track)).items():
        for other, nearness in shares(near_by_hand(sessions, between)).items():
            if other != track:
                second[other] += share * nearness
    return second


def own_by_hand(plays: pd.DataFrame, user: str) -> dict[str, float]:
    """Add up the activations of a listener's plays."""
    own: dict[str, float] = defaultdict(float)
    listened = plays[plays["u"] == user].sort_values("ts")["i"].tolist()
    for ago, track in enumerate(reversed(listened), start=1):
        own[track] += ago**-0.5
    return own


def followed_by_hand(plays: pd.DataFrame, user: str, track: str) -> dict[str, float]:
    """Count what the listener played up to five plays after a track, in a session."""
    followed: dict[str, float] = defaultdict(float)
    sessions = plays[plays["u"] == user].sort_values("ts").groupby("s")["i"].agg(list)
    for heard in sessions:
        for at in range(len(heard)):
            if heard[at] == track:
                for distance, other in enumerate(heard[at + 1 : at + 6], start=1):
                    followed[other] += 1 / distance
    return followed


def shares(parts: Mapping[Any, float]) -> dict[str, float]:
    return {name: part / sum(parts.values()) for name, part in parts.items()}


def score_by_hand(
    plays: pd.DataFrame, weights: dict[str, float], user: str, session: list[str]
) -> dict[str, float]:
    """Score the next track as the docs say it, part by part."""
    sessions = plays.sort_values("ts").groupby("s")["i"].agg(list)
    artists = plays.drop_duplicates("i").set_index("i")["a"].dropna()
    fans = plays.groupby("i")["u"].nunique() ** 0.25
    parts = [(weights["listener"], shares(own_by_hand(plays, user)))]
    for ago, track in enumerate(session[:-11:-1], start=1):
        same = artists.index[artists == artists.get(track)].difference([track])
        near = shares(near_by_hand(sessions, track))
        near_same = {other: share for other, share in near.items() if other in same}
        parts += [
            (1 / ago, near),
            (weights["same"] / ago, near_same),
            (weights["artist"] / ago, shares(fans[same].to_dict())),
            (weights["second"] / ago, shares(second_by_hand(sessions, track))),
            (
                weights["followed"] / ago,
                shares(followed_by_hand(plays, user, track)),
            ),
        ]
        if ago == 1:
            follows = near_by_hand(sessions, track, window=1, backward=0)
            follows = shares(follows)
            album = {other: share for other, share in follows.items() if other in same}
            parts += [
                (weights["last_artist"], shares(fans[same].to_dict())),
                (weights["follows"], follows),
                (weights["follows_same"], album),
            ]
    scores: dict[str, float] = defaultdict(float)
    for weight, part in parts:
        for other, score in part.items():
            scores[other] += weight * score
    return scores


@pytest.mark.parametrize(
    "session", [["t3"], ["t3", "t10", "t17"], [f"t{7 * n % 60}" for n in range(14)]]
)
@pytest.mark.parametrize("user", ["u5", "stranger"])
def test_the_service_takes_the_track_that_the_reference_scores_highest(
    published: Path, user: str, session: list[str]
) -> None:
    weights = read_section(published)["parameters"]
    expected = score_by_hand(draw_plays(is_taste=True), weights, user, session)
    best = max(score for track, score in expected.items() if track not in session)
    model = serve(published)
    numbers = [model.catalogue.numbers[track] for track in session]
    query = Query(user_number(user), numbers, [1.0] * len(numbers))
    drawn = RECOMMENDERS["next_track"].draw(model, query, RNG)
    recommended = model.catalogue.ids[drawn.track]
    assert recommended not in session
    assert math.isclose(expected[recommended], best, rel_tol=1e-5)


def test_tracks_that_follow_one_another_are_predicted_better_than_by_any_rule(
    published: Path,
) -> None:
    section = read_section(published)
    metrics = section["metrics"]
    assert metrics.keys() == {"next_track", "popular", "item_knn", "sticky_artist"}
    best = max(metrics, key=lambda name: metrics[name]["mrr@20"][0])
    assert best == "next_track"
    assert section["published"]
    assert section["sessions"] == 60  # a fifth of them


def test_a_model_that_is_no_better_than_a_rule_is_left_out_with_its_figures(
    tmp_path: Path,
) -> None:
    with console.capture() as printed:
        publish(tmp_path, draw_plays(is_taste=False))
    section = read_section(tmp_path)
    assert "next_track is not significantly better" in printed.get()
    assert not section["published"]
    assert section["metrics"]["next_track"]["precision@20"][0] > 0
    assert not (tmp_path / "current" / "next_track.npz").exists()
    anyway = ExportConfig(publish_anyway=True)
    version = Path(export_run(tmp_path / "run", tmp_path, anyway))
    assert (version / "next_track.npz").exists()


def test_what_knows_nothing_says_so_and_nothing_is_repeated(
    published: Path,
) -> None:
    model = serve(published)
    stranger = user_number("stranger")
    everything = list(range(len(model.catalogue)))
    recommender = RECOMMENDERS["next_track"]
    unknown = Query(stranger, [NO_TRACK], [1.0])
    assert recommender.draw(model, unknown, RNG) == UNKNOWN
    all_heard = Query(stranger, everything, [1.0] * len(everything))
    assert recommender.draw(model, all_heard, RNG) == EXHAUSTED


def test_live_ranks_as_the_ranker_that_was_learned(
    published: Path, tmp_path: Path
) -> None:
    config = SearchConfig(store=str(published / "store"), run=str(published / "run"))
    store, dataset = open_store(config.store), dataset_of(config)
    sessions = load_sessions(store, config, dataset)
    section = NextTrackConfig(window=3, neighbours=TRACKS)
    older, _ = sessions.split(HELD_OUT)
    before, fitted = (
        NextTrackModel(section).fit(part, threads=1) for part in (older, sessions)
    )
    tracks = np.arange(len(dataset.tracks))
    ranker = write_ranker(tmp_path, before, fitted, tracks, config.seed)
    assert ranker is not None
    model = serve(published, "live")
    names = originals(store, "items", dataset.tracks)
    for row, user in enumerate(originals(store, "users", dataset.users)):
        plays = sessions.plays.tracks[slice(*sessions.plays.indptr[row : row + 2])]
        for heard in plays[:2].tolist():
            history = np.append(plays, np.int32(heard))
            candidates, features = describe(history, ranker.facts, [heard])
            scores = ranker.trees.predict(features)
            expected = dict(zip(names[candidates].tolist(), scores, strict=True))
            numbers = [model.catalogue.numbers[names[heard]]]
            query = Query(user_number(user), numbers, [1.0], count=len(expected))
            drawn = RECOMMENDERS["live"].draw(model, query, RNG)
            ranked = [model.catalogue.ids[t] for t in (drawn.track, *drawn.following)]
            assert sorted(ranked) == sorted(expected)
            served = [expected[name] for name in ranked]  # equal ones in any order
            assert served == pytest.approx(sorted(scores, reverse=True))


def test_live_serves_new_listeners_from_their_first_play(published: Path) -> None:
    model, live = serve(published, "live"), RECOMMENDERS["live"]
    numbers = model.catalogue.numbers
    is_next = []
    for track in range(TRACKS):
        heard = Query(user_number("stranger"), [numbers[f"t{track}"]], [1.0])
        drawn = live.draw(model, heard, RNG)
        is_next.append(drawn.track == numbers[f"t{(track + 7) % TRACKS}"])
    assert np.mean(is_next) > 0.8
    unknown = Query(user_number("stranger"), [NO_TRACK], [1.0])
    assert live.draw(model, unknown, RNG) == UNKNOWN


def test_a_store_without_sessions_is_refused_before_any_fit(
    tmp_path: Path, refusal: Run
) -> None:
    draw_plays(is_taste=True).to_csv(tmp_path / "plays.csv", index=False)
    ingest_tables(tmp_path, tmp_path / "plays.csv", columns="user=u,item=i")
    config = tmp_path / "search.yaml"
    config.write_text(
        f"store: {tmp_path / 'store'}\nrun: {tmp_path / 'run'}\nnext_track: {{}}\n"
    )
    assert "next_track learns from what follows" in refusal(
        "search", "--config", config
    )


def test_sessions_of_one_track_each_leave_it_out_in_one_line(tmp_path: Path) -> None:
    plays = draw_plays(is_taste=True).drop_duplicates("s")
    with console.capture() as printed:
        publish(tmp_path, plays)
    assert read_section(tmp_path) is None
    assert "next_track is left out: there are too few sessions" in printed.get()
