from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botify.model.catalogue import load_catalogue
from botify.model.loading import load_model
from botify.model.model import Model
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Batch, Row
from botify.recommenders.registry import RECOMMENDERS, REPEAT, FallbackSettings, recommend
from tests.botify.exports import make_settings, publish, write_catalogue

# Tracks 0..11, three of an artist, whose factors point the same way.
ARTISTS = [track // 3 for track in range(12)]
FACTORS = np.repeat(np.eye(4), 3, axis=0) + np.linspace(0, 0.1, 12)[:, None]
LISTS = {0: [0, 3, 6, 9], 1: [5], 2: list(range(12))}
FALLBACK = FallbackSettings()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _model(tmp_path_factory.mktemp("model"))


def _model(folder: Path, artists: Sequence[int] = ARTISTS) -> Model:
    catalogue = write_catalogue(folder / "tracks.json", artists)
    neighbours = {track: [other for other in range(12) if other != track][:9] for track in range(12)}
    publish(folder, "one", LISTS, catalogue=catalogue, factors=FACTORS, neighbours=neighbours)
    return load_model(make_settings(folder, catalogue, "contextual"), load_catalogue(catalogue))


def row(user: int, *tracks: int, times: Sequence[float] = (), taken: Sequence[int] = ()) -> Row:
    return Row(user, tracks, times or [1.0] * len(tracks), {*tracks, *taken})


def ask(model: Model, name: str, *rows: Row, seed: int = 1) -> list[int]:
    return [drawn.track for drawn in RECOMMENDERS[name](model, rows, np.random.default_rng(seed))]


def test_in_order_takes_the_best_track_of_the_list_that_is_left_and_is_sure_of_it(model: Model) -> None:
    rows = [row(0, 5), row(0, 0, 3), row(0, 6, taken=[0]), row(1, 5), row(9, 5)]
    drawn = RECOMMENDERS["in_order"](model, rows, np.random.default_rng(1))
    assert [found.track for found in drawn] == [0, 6, 3, EXHAUSTED, UNKNOWN]
    assert [found.propensity for found in drawn] == [1, 1, 1, None, None]


@pytest.mark.parametrize(
    ("name", "session", "allowed"),
    [
        ("random", row(0, 1, 2), {0, *range(3, 12)}),
        ("sticky_artist", row(0, 4), {3, 5}),
        ("sticky_artist", row(0, 4, taken=[3]), {5}),
        ("top_pop", row(0, 5), set(range(12)) - {5}),
        ("indexed", row(0, 3), {0, 6, 9}),
    ],
)
def test_draws_are_uniform_and_say_so(model: Model, name: str, session: Row, allowed: set[int]) -> None:
    draws = 4000
    drawn = RECOMMENDERS[name](model, [session] * draws, np.random.default_rng(2))
    assert {found.propensity for found in drawn} == {1 / len(allowed)}
    counts = Counter(found.track for found in drawn)
    assert counts.keys() == allowed
    expected = draws / len(allowed)
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


@pytest.mark.parametrize(
    ("name", "session", "why"),
    [
        ("random", row(0, *range(12)), EXHAUSTED),
        ("sticky_artist", row(0, 3, 4, 5), EXHAUSTED),
        ("top_pop", row(0, *range(12)), EXHAUSTED),
        ("indexed", row(0, 0, 3, taken=[6, 9]), EXHAUSTED),
        ("indexed", row(17, 0), UNKNOWN),
        ("session_als", row(0, 0, 3, 6, 9), EXHAUSTED),
        ("session_als", row(17, 0), UNKNOWN),
        ("contextual", row(0, *range(12)), EXHAUSTED),
    ],
)
def test_no_answer_says_why(model: Model, name: str, session: Row, why: int) -> None:
    assert ask(model, name, session) == [why]


def test_random_finds_the_last_free_track(model: Model) -> None:
    for free in range(12):
        taken = [track for track in range(12) if track != free]
        assert ask(model, "random", row(0, *taken)) == [free]


def test_contextual_follows_what_was_heard_for_long(model: Model) -> None:
    assert ARTISTS[ask(model, "contextual", row(0, 0, 3, times=[1.0, 0.05]))[0]] == 0
    assert ARTISTS[ask(model, "contextual", row(0, 0, 3, times=[0.05, 1.0]))[0]] == 1


def test_contextual_knows_nothing_without_neighbours(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    publish(tmp_path, "one", LISTS, catalogue=catalogue, neighbours={11: [0]})
    model = load_model(make_settings(tmp_path, catalogue, "contextual"), load_catalogue(catalogue))
    assert ask(model, "contextual", row(0, 3)) == [UNKNOWN]


def test_session_als_keeps_the_order_of_the_list_without_a_reason_to_change_it(model: Model) -> None:
    assert ask(model, "session_als", row(0, 1, times=[0.3])) == [0]


def test_in_session_als_tracks_near_a_liked_one_rise_and_near_a_skipped_one_sink(model: Model) -> None:
    assert ask(model, "session_als", row(0, 10, times=[1.0])) == [9]
    assert ask(model, "session_als", row(0, 1, times=[0.0])) != [0]


def test_what_was_heard_last_counts_most_in_session_als(model: Model) -> None:
    assert ask(model, "session_als", row(0, 4, 7)) == [6]
    assert ask(model, "session_als", row(0, 7, 4)) == [3]


@pytest.mark.parametrize("name", ["indexed", "contextual", "session_als"])
def test_a_batch_gives_what_its_rows_give_alone(model: Model, name: str) -> None:
    rng = np.random.default_rng(4)
    rows = [
        row(user % 4, *rng.permutation(12)[: 1 + user % 11].tolist(), times=rng.random(1 + user % 11).tolist())
        for user in range(300)
    ]
    together = RECOMMENDERS[name](model, rows, np.random.default_rng(1))
    alone, rng = [], np.random.default_rng(1)
    for asked in rows:
        alone += RECOMMENDERS[name](model, [asked], rng)
    assert together == alone


sessions = st.tuples(
    st.integers(0, 4), st.lists(st.integers(0, 11), min_size=1, max_size=14), st.lists(st.integers(0, 11), max_size=4)
)


@given(
    rows=st.lists(sessions, min_size=1, max_size=5),
    names=st.lists(st.sampled_from(sorted(RECOMMENDERS)), min_size=5, max_size=5),
)
def test_a_taken_track_is_never_recommended_while_another_is_free(
    model: Model, rows: list[tuple[int, list[int], list[int]]], names: list[str]
) -> None:
    batch: Batch = [row(user, *tracks, taken=taken) for user, tracks, taken in rows]
    answers = recommend(model, batch, names[: len(batch)], FALLBACK, np.random.default_rng(0))
    assert len(answers) == len(batch)
    for asked, (name, drawn) in zip(batch, answers, strict=True):
        assert 0 <= drawn.track < 12
        assert drawn.propensity is not None
        assert 0 < drawn.propensity <= 1
        if len(asked.taken) < 12:
            assert drawn.track not in asked.taken
        else:
            assert name == REPEAT


@pytest.mark.parametrize(
    ("session", "recommender"),
    [
        (row(0, 6), "indexed"),
        (row(0, 0, 3, 6, 9), "sticky_artist"),  # its whole list was heard
        (row(0, 0, 3, 6, 9, 10, 11), "random"),  # and all of the artist
        (row(17, 1), "top_pop"),  # a listener without a list
    ],
)
def test_the_configured_chain_answers_where_indexed_cannot(model: Model, session: Row, recommender: str) -> None:
    for batch in ([session], [session, row(0, 6)]):
        answers = recommend(model, batch, ["indexed"] * len(batch), FALLBACK, np.random.default_rng(0))
        assert answers[0][0] == recommender


def test_fallbacks_come_from_the_configuration(model: Model) -> None:
    fallback = FallbackSettings(exhausted=("top_pop",), unknown=("sticky_artist",))
    rng = np.random.default_rng(0)
    assert recommend(model, [row(0, 0, 3, 6, 9)], ["indexed"], fallback, rng)[0][0] == "top_pop"
    assert recommend(model, [row(17, 1)], ["indexed"], fallback, rng)[0][0] == "sticky_artist"
