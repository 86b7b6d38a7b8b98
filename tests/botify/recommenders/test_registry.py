from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.factors import FACTORS as ITEM_FACTORS
from botify.model.model import Model
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Drawn, Row
from botify.recommenders.interleaved import interleave
from botify.recommenders.registry import (
    RECOMMENDERS,
    REPEAT,
    FallbackSettings,
    recommend,
)
from botify.service import load_configured
from looplib.errors import ConfigError
from tests.botify.exports import (
    edit_manifest,
    make_settings,
    publish,
    update_manifest,
    write_catalogue,
    write_lists,
)

# Tracks 0..11, three of an artist, whose factors point the same way.
ARTISTS = [track // 3 for track in range(12)]
FACTORS = np.repeat(np.eye(4), 3, axis=0) + np.linspace(0, 0.1, 12)[:, None]
LISTS = {0: [0, 3, 6, 9], 1: [5], 2: list(range(12))}
FALLBACK = FallbackSettings()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def als(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("als")
    catalogue = write_catalogue(folder / "tracks.json", ARTISTS)
    version = publish(folder, "one", LISTS, catalogue=catalogue, factors=FACTORS)
    edit_manifest(version, parameters={"factors": 4, "regularization": 1, "alpha": 1})
    return load_configured(make_settings(folder, catalogue, "contextual"))


def _model(folder: Path, artists: Sequence[int] = ARTISTS) -> Model:
    catalogue = write_catalogue(folder / "tracks.json", artists)
    publish(folder, "one", LISTS, catalogue=catalogue, factors=FACTORS)
    return load_configured(make_settings(folder, catalogue, "indexed"))


def row(user: int, *tracks: int, times: Sequence[float] = ()) -> Row:
    return Row(user, tracks, times or [1.0] * len(tracks))


def ask(model: Model, name: str, *rows: Row, seed: int = 1) -> list[int]:
    return [drawn.track for drawn in draw(model, name, rows, seed)]


def draw(model: Model, name: str, rows: Sequence[Row], seed: int = 1) -> list[Drawn]:
    rng = np.random.default_rng(seed)
    return [RECOMMENDERS[name].draw(model, row, rng) for row in rows]


def test_in_order_takes_the_best_track_of_the_list_that_is_left_and_is_sure_of_it(
    model: Model,
) -> None:
    rows = [row(0, 5), row(0, 0, 3), row(0, 0, 6), row(1, 5), row(9, 5)]
    drawn = draw(model, "in_order", rows)
    assert [found.track for found in drawn] == [0, 6, 3, EXHAUSTED, UNKNOWN]
    assert [found.propensity for found in drawn] == [1, 1, 1, None, None]


@pytest.mark.parametrize(
    ("name", "session", "allowed"),
    [
        ("random", row(0, 1, 2), {0, *range(3, 12)}),
        ("sticky_artist", row(0, 4), {3, 5}),
        ("sticky_artist", row(0, 3, 4), {5}),
        ("top_pop", row(0, 5), set(range(12)) - {5}),
        ("indexed", row(0, 3), {0, 6, 9}),
    ],
)
def test_draws_are_uniform_and_say_so(
    model: Model, name: str, session: Row, allowed: set[int]
) -> None:
    draws = 4000
    drawn = draw(model, name, [session] * draws, seed=2)
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
        ("indexed", row(0, 6, 9, 0, 3), EXHAUSTED),
        ("indexed", row(17, 0), UNKNOWN),
    ],
)
def test_no_answer_says_why(model: Model, name: str, session: Row, why: int) -> None:
    assert ask(model, name, session) == [why]


def test_contextual_takes_the_nearest_track_to_what_was_heard_for_long(
    als: Model,
) -> None:
    for times, artist in (([1.0, 0.05], 0), ([0.05, 1.0], 1)):
        (track,) = ask(als, "contextual", row(0, 0, 3, times=times))
        assert track not in {0, 3}
        assert ARTISTS[track] == artist


def test_factors_may_be_those_of_another_model_than_the_lists(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    version = publish(tmp_path, "one", LISTS, catalogue=catalogue, factors=FACTORS)
    edit_manifest(
        version,
        parameters={"kind": "blend", "window": 10},
        factors={"kind": "als", "factors": 4, "regularization": 1, "alpha": 1},
    )
    loaded = load_configured(make_settings(tmp_path, catalogue, "session_als"))
    assert ask(loaded, "session_als", row(0, 10, times=[1.0])) == [9]
    assert ask(loaded, "blend", row(0, 0, 10)) == [3]


def test_in_session_als_tracks_near_a_liked_one_rise_and_near_a_skipped_one_sink(
    als: Model,
) -> None:
    assert ask(als, "session_als", row(0, 10, times=[1.0])) == [9]
    assert ask(als, "session_als", row(0, 1, times=[0.0])) != [0]
    assert ask(als, "session_als", row(0, 1, times=[0.3])) == [0]


def test_what_was_heard_last_counts_most_in_session_als(als: Model) -> None:
    assert ask(als, "session_als", row(0, 4, 7)) == [6]
    assert ask(als, "session_als", row(0, 7, 4)) == [3]


def test_recommenders_by_factors_say_why_they_have_no_answer(
    model: Model, als: Model
) -> None:
    assert ask(als, "contextual", row(0, *range(12))) == [EXHAUSTED]
    assert ask(als, "session_als", row(0, 0, 3, 6, 9)) == [EXHAUSTED]
    assert ask(als, "session_als", row(17, 0)) == [UNKNOWN]
    for name in ("contextual", "session_als"):
        assert ask(model, name, row(0, 1)) == [UNKNOWN]


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_no_recommender_stumbles_over_tracks_that_the_catalogue_lacks(
    als: Model, name: str
) -> None:
    new = UNKNOWN_TRACK
    rows = [row(0, new), row(0, new, new), row(0, new, 3, 0), row(1, 5, new, 3)]
    answers = recommend(als, rows, [name] * 4, FALLBACK, np.random.default_rng(1))
    for (_, drawn), session in zip(answers, rows, strict=True):
        assert drawn.track in range(12)
        assert drawn.track not in session.tracks


def test_by_factors_an_unknown_track_says_nothing_but_opens_the_session(
    als: Model,
) -> None:
    new = UNKNOWN_TRACK
    assert ask(als, "contextual", row(0, new, 3, 4)) == ask(
        als, "contextual", row(0, 3, 4)
    )
    assert ask(als, "contextual", row(0, new)) == [UNKNOWN]
    assert ask(als, "sticky_artist", row(0, 3, new)) == [UNKNOWN]
    folding = als.get(ITEM_FACTORS)
    assert folding is not None
    folding = replace(folding, items=FACTORS.astype(np.float32))
    assert folding.solve([new], [1.0]) is None
    assert folding.solve([3], [0.2]) is not None


def test_random_finds_the_last_free_track(model: Model) -> None:
    for free in range(12):
        taken = [track for track in range(12) if track != free]
        assert ask(model, "random", row(0, *taken)) == [free]


def test_a_recommender_of_another_exported_list_reads_it(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    settings = make_settings(tmp_path, catalogue, "discover")
    version = publish(tmp_path, "one", LISTS, catalogue=catalogue)
    lacks = load_configured(settings)
    assert ask(lacks, "discover", row(0, 8)) == [UNKNOWN]
    assert settings.lacking(lacks) == [
        "arm C: discover needs discover.jsonl, which version one lacks; instead: top_pop, random"
    ]
    write_lists(version / "discover.jsonl", {0: [8, 2, 5]})
    update_manifest(version, "discover.jsonl")
    found = load_configured(settings)
    assert ask(found, "discover", row(0, 8), row(1, 8)) == [2, UNKNOWN]
    assert settings.lacking(found) == []


sessions = st.tuples(
    st.integers(0, 4),
    st.lists(st.integers(0, 11), min_size=1, max_size=14),
)


@given(
    rows=st.lists(sessions, min_size=1, max_size=5),
    names=st.lists(st.sampled_from(sorted(RECOMMENDERS)), min_size=5, max_size=5),
)
def test_a_track_heard_is_never_recommended_while_another_is_free(
    model: Model, rows: list[tuple[int, list[int]]], names: list[str]
) -> None:
    batch = [row(user, *tracks) for user, tracks in rows]
    answers = recommend(
        model, batch, names[: len(batch)], FALLBACK, np.random.default_rng(0)
    )
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
def test_the_configured_chain_answers_where_indexed_cannot(
    model: Model, session: Row, recommender: str
) -> None:
    for batch in ([session], [session, row(0, 6)]):
        answers = recommend(
            model, batch, ["indexed"] * len(batch), FALLBACK, np.random.default_rng(0)
        )
        assert answers[0][0] == recommender


def test_fallbacks_come_from_the_configuration(model: Model) -> None:
    fallback = FallbackSettings(exhausted=("top_pop",), unknown=("sticky_artist",))
    rng = np.random.default_rng(0)
    assert (
        recommend(model, [row(0, 0, 3, 6, 9)], ["indexed"], fallback, rng)[0][0]
        == "top_pop"
    )
    assert (
        recommend(model, [row(17, 1)], ["indexed"], fallback, rng)[0][0]
        == "sticky_artist"
    )


def test_a_fair_coin_credits_one_of_two_interleaved(model: Model) -> None:
    first, second, draws = "in_order", "indexed", 6000
    name, session = f"interleaved({first}, {second})", row(0, 3)
    answers = recommend(
        model, [session] * draws, [name] * draws, FALLBACK, np.random.default_rng(4)
    )
    ours, theirs = f"{first} of {name}", f"{second} of {name}"
    assert {who for who, _ in answers} == {ours, theirs, name}
    assert {drawn.track for who, drawn in answers if who == ours} == {0}
    assert {drawn.track for who, drawn in answers if who == theirs} == {6, 9}
    assert {drawn.propensity for _, drawn in answers} == {None}
    credited = Counter(who for who, _ in answers)
    total = credited[ours] + credited[theirs]
    assert credited[ours] / total == pytest.approx(0.5, abs=2.5 / total**0.5)


def test_what_both_have_or_one_alone_is_credited_to_neither(model: Model) -> None:
    name = "interleaved(in_order, indexed)"
    one, none = Drawn(6, 1.0), Drawn(EXHAUSTED, None)
    assert interleave(name, (one, one), 0.1) == (name, Drawn(6, None))
    assert interleave(name, (none, one), 0.9) == (name, one)
    (answer,) = recommend(
        model, [row(9, 5)], [name], FALLBACK, np.random.default_rng(1)
    )
    assert answer[0] == "top_pop"  # the fallback for listeners without a list


def test_interleaved_arms_stand_beside_others_and_draw_the_same_for_the_same_seed(
    model: Model,
) -> None:
    names = [
        "indexed",
        "interleaved(indexed, in_order)",
        "random",
        "interleaved(random, top_pop)",
    ] * 50
    batch = [row(position % 3, 3) for position in range(200)]
    asked = [
        recommend(model, batch, names, FALLBACK, np.random.default_rng(6))
        for _ in range(2)
    ]
    assert asked[0] == asked[1]
    assert all(
        name == who
        for (who, _), name in zip(asked[0], names, strict=True)
        if "(" not in name
    )


@pytest.mark.parametrize(
    "name",
    [
        "interleaved(in_order, nobody)",
        "interleaved(in_order, in_order)",
        "interleaved()",
    ],
)
def test_an_interleaved_recommender_of_others_than_two_known_ones_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"no such recommender; allowed: .*, and interleaved\(a, b\) of two of these",
    ):
        make_settings(tmp_path, tmp_path / "tracks.json", name)
