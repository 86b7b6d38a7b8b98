from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botify.errors import ModelError
from botify.model.model import ServedModel
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Drawn, Query
from botify.recommenders.registry import (
    ANY_REPEAT,
    RECOMMENDERS,
    FallbackSettings,
    check_draws,
    find_recommenders,
    interleave,
    missing_artifacts,
    recommend,
)
from botify.service import load_configured
from looplib.arrays import NO_TRACK
from looplib.errors import ConfigError
from tests.botify.exports import make_settings, update_manifest, write_lists
from tests.botify.recommenders.conftest import draw, heard, publish_twelve

FALLBACK = FallbackSettings()


def answer(
    model: ServedModel,
    name: str,
    *queries: Query,
    fallback: FallbackSettings = FALLBACK,
) -> list[tuple[str, Drawn]]:
    rng = np.random.default_rng(4)
    return [
        recommend(model, query, name, fallback, rng, lambda *_: None)
        for query in queries
    ]


@settings(max_examples=400)
@given(
    user=st.integers(0, 4),
    session=st.lists(st.integers(NO_TRACK, 11), min_size=1, max_size=14),
    recommender=st.sampled_from(sorted(RECOMMENDERS)),
)
def test_a_track_heard_is_never_recommended_while_another_is_free(
    als: ServedModel, user: int, session: list[int], recommender: str
) -> None:
    query = heard(user, *session)
    ((name, drawn),) = answer(als, recommender, query)
    assert 0 <= drawn.track < 12
    assert drawn.propensity is not None
    assert 0 < drawn.propensity <= 1
    is_free = drawn.track not in query.taken
    assert is_free if len(query.taken) < 12 else name == ANY_REPEAT


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_a_list_begins_with_the_track_that_is_recommended_without_one(
    als: ServedModel, name: str
) -> None:
    alone = heard(0, 0)
    ((_, track),) = answer(als, name, alone)
    ((_, drawn),) = answer(als, name, replace(alone, count=5))
    assert drawn._replace(following=()) == track
    ranked = [drawn.track, *drawn.following]
    assert len(set(ranked)) == len(ranked) <= 5
    assert not alone.taken & set(ranked)


def test_a_track_comes_again_after_as_many_as_the_query_says(
    model: ServedModel,
) -> None:
    query = heard(0, 0, 3)
    taken = [replace(query, repeat_after=after).taken for after in (None, 2, 1, 0)]
    assert taken == [{0, 3}, {0, 3}, {3}, set()]
    (drawn,) = draw(model, "in_order", replace(query, repeat_after=1, count=9))
    assert (drawn.track, drawn.following) == (0, (6, 9))


OTHERS = FallbackSettings(exhausted=("top_pop",), unknown=("sticky_artist",))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (heard(0, 6), ["indexed", "indexed"]),
        # its whole list was heard
        (heard(0, 0, 3, 6, 9), ["sticky_artist", "top_pop"]),
        # and all of the artist
        (heard(0, 0, 3, 6, 9, 10, 11), ["random", "top_pop"]),
        # a listener without a list
        (heard(17, 1), ["top_pop", "sticky_artist"]),
    ],
)
def test_the_configured_chain_answers_where_indexed_cannot(
    model: ServedModel, query: Query, names: list[str]
) -> None:
    for fallback, name in zip((FALLBACK, OTHERS), names, strict=True):
        ((answered, _),) = answer(model, "indexed", query, fallback=fallback)
        assert answered == name


def test_the_same_artist_needs_artists_with_several_tracks(model: ServedModel) -> None:
    assert missing_artifacts("sticky_artist", model) == []
    alone = replace(model.catalogue, artist=np.arange(12, dtype=np.int32))
    lacks = missing_artifacts("sticky_artist", replace(model, catalogue=alone))
    assert lacks == ["artists with several tracks"]


def test_a_recommender_of_another_exported_list_reads_it(tmp_path: Path) -> None:
    version = publish_twelve(tmp_path)
    settings = make_settings(tmp_path, tmp_path / "tracks.json", "new")
    lacks = load_configured(settings)
    assert draw(lacks, "new", heard(0, 8)) == [UNKNOWN]
    assert settings.warnings(lacks) == [
        "arm C: new needs new.jsonl, which version one lacks; instead: top_pop, random"
    ]
    write_lists(version / "new.jsonl", {0: [8, 2, 5]})
    update_manifest(version, "new.jsonl")
    model = load_configured(settings)
    drawn = draw(model, "new", heard(0, 8), heard(1, 8))
    assert drawn == [Drawn(2, 1.0), UNKNOWN]
    assert settings.warnings(model) == []


def test_a_fair_coin_credits_one_of_two_interleaved(model: ServedModel) -> None:
    draws, name = 6000, "interleaved(in_order, indexed)"
    answers = answer(model, name, *[heard(0, 3)] * draws)
    first, second = f"in_order of {name}", f"indexed of {name}"
    assert {who for who, _ in answers} == {first, second, name}
    assert {drawn.track for who, drawn in answers if who == first} == {0}
    assert {drawn.track for who, drawn in answers if who == second} == {6, 9}
    assert {drawn.propensity for _, drawn in answers} == {None}
    credited = Counter(who for who, _ in answers)
    total = credited[first] + credited[second]
    assert credited[first] / total == pytest.approx(0.5, abs=2.5 / total**0.5)


def test_what_both_have_or_one_alone_is_credited_to_neither(
    model: ServedModel,
) -> None:
    name, drawn = "interleaved(in_order, indexed)", Drawn(6, 1.0)
    assert interleave(name, (drawn, drawn), 0.1) == (name, Drawn(6))
    assert interleave(name, (EXHAUSTED, drawn), 0.9) == (name, drawn)
    assert interleave(name, (EXHAUSTED, UNKNOWN), 0.9) == (name, UNKNOWN)
    ((who, _),) = answer(model, name, heard(9, 5))
    assert who == "top_pop"  # the fallback for listeners without a list


@pytest.mark.parametrize("pair", ["in_order, nobody", "in_order, in_order", ""])
def test_an_interleaved_recommender_of_others_than_two_known_ones_is_refused(
    tmp_path: Path, pair: str
) -> None:
    message = r"no such recommender; allowed: .*, explore\(a, share\) of a ranking, and"
    with pytest.raises(ConfigError, match=message):
        make_settings(tmp_path, tmp_path / "tracks.json", f"interleaved({pair})")


def test_exploring_draws_from_a_ranking_with_the_logged_propensity(
    model: ServedModel,
) -> None:
    draws, name = 20_000, "explore(in_order, 0.5, top=2)"
    ranking = read_ranking(model, heard(0, 3))
    assert len(ranking) > 2
    answers = answer(model, name, *[replace(heard(0, 3), count=3)] * draws)
    assert {who for who, _ in answers} == {name}
    propensities = {drawn.track: drawn.propensity for _, drawn in answers}
    assert propensities.keys() == set(ranking[:2])
    assert sum(filter(None, propensities.values())) == pytest.approx(1)
    worse = 0.5 * np.exp(-2.5) / (1 + np.exp(-2.5))
    assert propensities[ranking[1]] == pytest.approx(worse)
    times = Counter(drawn.track for _, drawn in answers)[ranking[1]]
    assert times / draws == pytest.approx(worse, abs=4 * (worse / draws) ** 0.5)
    for _, drawn in answers:
        rest = [track for track in ranking if track != drawn.track]
        assert drawn.following == tuple(rest[:2])
    ((who, _),) = answer(model, name, heard(9, 5))
    assert who == "top_pop"  # the fallback for listeners without a list


def read_ranking(model: ServedModel, query: Query) -> list[int]:
    (drawn,) = draw(model, "in_order", replace(query, count=12))
    return [drawn.track, *drawn.following]


def test_an_exploring_recommender_is_interleaved(model: ServedModel) -> None:
    name = "interleaved(explore(in_order, 0.1), new)"
    assert find_recommenders(name)[1] is RECOMMENDERS["new"]
    both = "interleaved(explore(in_order, 0.1), indexed)"
    credited = {who for who, _ in answer(model, both, *[heard(0, 3)] * 50)}
    assert f"explore(in_order, 0.1) of {both}" in credited


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("explore(in_order, 1.5)", "a share above 0 and up to 1"),
        ("explore(in_order, 0)", "a share above 0 and up to 1"),
        ("explore(in_order, 0.1, top=1)", "top of 2 tracks or more"),
        ("explore(random, 0.1)", "has no ranking; allowed: in_order, repeat, new"),
        ("explore(nobody, 0.1)", "no such recommender"),
        ("explore(explore(in_order, 0.1), 0.1)", "no such recommender"),
        ("explore(in_order)", "no such recommender"),
    ],
)
def test_what_cannot_be_explored_is_refused(
    tmp_path: Path, name: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_settings(tmp_path, tmp_path / "tracks.json", name)


def test_a_version_whose_recommender_overflows_is_refused(als: ServedModel) -> None:
    check_draws(als, ["fold_in", "interleaved(random, fold_in)"])
    (name,) = als.artifacts.keys() - {"lists"}
    factors = als.artifacts[name]
    items = factors.items.copy()
    items[5] = 1e18
    broken = {name: replace(factors, items=items)}
    with pytest.raises(ModelError, match="version one: fold_in fails"):
        check_draws(replace(als, artifacts=broken), ["fold_in"])
    items[5] = 3e38
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="too large"):
        replace(factors, items=items)
