"""The session model on logs whose rules are known: listeners of two interests each."""

from dataclasses import fields, replace

import numpy as np
import pytest

from looplib.arrays import FloatArray, IntArray
from looplib.session_model import SessionModel
from recsys.config import SessionModelConfig
from recsys.session_model.export import track_means
from recsys.session_model.fit import SWEEPS, Chosen, Fit, Report
from recsys.session_model.grouping import group_openings
from recsys.session_model.responses import Responses

LISTENERS, TRACKS, DIMENSIONS, GAMMA = 80, 150, 3, 0.6
CONFIG = SessionModelConfig(factors=4)


def start_fit(
    seed: int = 1,
    threads: int = 2,
    chosen: Chosen | None = None,
    report: Report = lambda _done, _note: None,
) -> Fit:
    """Start with nothing known of what was chosen, by default."""
    if chosen is None:
        chosen = Chosen(*(np.zeros((n, 0), np.float32) for n in (LISTENERS, TRACKS)))
    return Fit(chosen, CONFIG, seed, threads, report)


def fit_model(
    responses: Responses,
    seed: int = 1,
    threads: int = 2,
    chosen: Chosen | None = None,
) -> SessionModel:
    fit = start_fit(seed, threads, chosen)
    fit.run(responses)
    return fit.describe()


@pytest.fixture(scope="module")
def taste() -> FloatArray:
    return np.random.default_rng(1).normal(size=(TRACKS, DIMENSIONS))


@pytest.fixture(scope="module")
def truth(taste: FloatArray) -> tuple[Responses, IntArray]:
    return make_responses(taste)


def make_responses(
    taste: FloatArray, changed: float = 0.0
) -> tuple[Responses, IntArray]:
    """Make responses in sessions of five; a share of these changes to the other interest.

    The openings of an interest are the five nearest to a track.
    """
    rng = np.random.default_rng(2)
    listener, organic, interest = [], [], []
    vectors: list[FloatArray] = []
    for person in range(LISTENERS):
        first = int(rng.integers(TRACKS))
        second = int(np.argmin(taste @ taste[first]))
        for centre in (first, second):
            near = np.argsort(np.linalg.norm(taste - taste[centre], axis=1))[:5]
            listener += [person] * 5
            organic += near.tolist()
            interest += [len(vectors)] * 5
            vectors.append(taste[centre])
    sharpness, bias = rng.uniform(0.5, 1.2, LISTENERS), rng.uniform(0, 2, LISTENERS)
    count = 25  # responses an opening
    opening = np.repeat(np.arange(len(organic)), count)
    track = rng.integers(TRACKS, size=len(opening))
    who = np.array(listener)[opening]
    place = np.arange(len(opening)) % 5
    sessions = np.random.default_rng(3)
    until = np.where(
        sessions.random(len(opening) // 5) < changed, sessions.integers(1, 5), 5
    )
    followed = np.array(interest)[opening] ^ (place >= np.repeat(until, 5))
    dots = np.einsum("ij,ij->i", np.array(vectors)[followed], taste[track])
    earlier = (rng.random(len(opening)) < 0.05).astype(np.int16)
    time = np.round(
        GAMMA**earlier / (1 + np.exp(-sharpness[who] * (dots - bias[who]))), 2
    )
    responses = Responses(
        artist=np.arange(TRACKS, dtype=np.int32) // 2,
        listener=np.array(listener, dtype=np.int32),
        organic=np.array(organic, dtype=np.int32),
        opening=opening.astype(np.int32),
        track=track.astype(np.int32),
        time=time.astype(np.float32),
        earlier=earlier,
        place=place.astype(np.int16),
        is_held_out=np.zeros(len(opening), np.bool_),
    )
    return responses, np.array(interest)


@pytest.fixture(scope="module")
def model(truth: tuple[Responses, IntArray]) -> SessionModel:
    return fit_model(truth[0])


def followed_by(model: SessionModel, responses: Responses) -> IntArray:
    """Return the interest that each opening of responses leads to."""
    order = np.lexsort((responses.organic, responses.listener))
    interests = np.zeros(len(order), np.int64)
    interests[order] = model.interest_of
    return interests


def expected_times(model: SessionModel, responses: Responses) -> FloatArray:
    """By the model's own words, one response after the other."""
    interest = followed_by(model, responses)[responses.opening]
    times = []
    for position in range(len(responses)):
        x = model.interests[interest[position]]
        logit = x @ model.track_factors[responses.track[position]]
        times.append(
            model.artist_fatigue ** responses.earlier[position] / (1 + np.exp(-logit))
        )
    return np.array(times)


def test_times_are_explained_and_the_fatigue_of_artists_is_found(
    truth: tuple[Responses, IntArray], model: SessionModel
) -> None:
    off = expected_times(model, truth[0]) - truth[0].time
    assert 1 - np.mean(off**2) / truth[0].time.var() > 0.95
    assert model.artist_fatigue == pytest.approx(GAMMA, abs=0.05)


def test_openings_of_an_interest_are_found_together(
    truth: tuple[Responses, IntArray], model: SessionModel
) -> None:
    found = followed_by(model, truth[0])
    mixed = sum(
        len(set(truth[1][found == interest].tolist())) > 1
        for interest in set(model.interest_of)
    )
    assert mixed <= 0.05 * len(model.interests)
    assert len(model.interests) < 3 * LISTENERS


def test_the_fit_follows_from_the_seed_whatever_the_threads(
    truth: tuple[Responses, IntArray], model: SessionModel
) -> None:
    again = fit_model(truth[0], threads=1)
    for field in fields(SessionModel):
        assert np.array_equal(getattr(again, field.name), getattr(model, field.name)), (
            field.name
        )
    assert not np.array_equal(
        fit_model(truth[0], seed=2).interests,
        model.interests,
    )


def test_a_new_interest_is_expected_near_what_the_organic_track_opens(
    truth: tuple[Responses, IntArray], model: SessionModel
) -> None:
    usual = model.track_factors[truth[0].organic] @ model.new_map
    own = model.interests[followed_by(model, truth[0])]
    off = np.mean((usual - own) ** 2)
    assert off < 0.5 * np.mean((own - own.mean(axis=0)) ** 2)
    spread = np.trace(np.cov((own - usual).astype(float).T))
    assert np.trace(model.new_covariance) == pytest.approx(spread, rel=0.2)


def test_more_sessions_go_on_with_the_fit(
    truth: tuple[Responses, IntArray],
) -> None:
    whole = truth[0]
    some = replace(whole, is_held_out=np.arange(len(whole)) % 25 < 5).training()
    done: list[float] = []
    fit = start_fit(report=lambda so_far, _note: done.append(so_far))
    fit.run(some)
    fit.extend(whole, 0.0)
    assert done == list(range(1, SWEEPS + 1))
    found = fit.describe()
    off = expected_times(found, whole) - whole.time
    assert 1 - np.mean(off**2) / whole.time.var() > 0.95


def test_responses_are_given_to_the_interest_that_a_session_has_changed_to(
    taste: FloatArray,
) -> None:
    responses, _ = make_responses(taste, changed=0.4)
    errors = []
    for change in (0.0, 0.1):
        fit = start_fit()
        fit.run(responses)
        fit.extend(responses, change)
        held_out = fit.held_out  # nothing was learned from these
        interests = fit.interests.means[fit.followed[held_out]]
        features = fit.tracks.with_constant().means[responses.track[held_out]]
        means = 1 / (1 + np.exp(-(interests * features).sum(axis=1)))
        errors.append(np.mean((responses.time[held_out] - means) ** 2))
    assert errors[1] < 0.8 * errors[0]


def test_tracks_never_heard_are_no_better_than_others(
    truth: tuple[Responses, IntArray],
) -> None:
    heard = truth[0]
    rows = (
        heard.track % 10 > 0
    )  # each artist has two tracks, of which one may be unheard
    some = replace(heard, is_held_out=~rows).training()
    found = fit_model(some)
    unheard = np.arange(0, TRACKS, 10)
    assert np.isfinite(found.track_factors).all()
    logits = found.track_factors @ found.interests.T
    assert logits[unheard].mean() < np.quantile(logits, 0.9)


@pytest.mark.parametrize("earlier", [0, 1])
def test_one_response_is_enough_to_fit(earlier: int) -> None:
    none, one = np.zeros(1, dtype=np.int32), np.array([1], dtype=np.int32)
    responses = Responses(
        np.arange(TRACKS, dtype=np.int32),
        none,
        none,
        none,
        one,
        np.array([0.4], np.float32),
        np.full(1, earlier, np.int16),
        np.zeros(1, np.int16),
        np.zeros(1, np.bool_),
    )
    model = fit_model(responses, threads=1)
    assert all(
        np.isfinite(getattr(model, field.name)).all() for field in fields(SessionModel)
    )
    assert 0 <= model.artist_fatigue <= 1


def test_no_two_tracks_of_a_group_are_further_apart_than_allowed() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    listener, organic = np.sort(rng.integers(6, size=60)), rng.integers(40, size=60)
    interest = group_openings(listener, organic, vectors, 0.5)
    assert sorted(set(interest.tolist())) == list(range(interest.max() + 1))
    directions = vectors - vectors.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for group in range(interest.max() + 1):
        members = np.flatnonzero(interest == group)
        assert len(set(listener[members].tolist())) == 1
        own = directions[organic[members]]
        assert (own @ own.T).min() > 1 - 0.5 - 1e-5


@pytest.fixture(scope="module")
def noisy(truth: tuple[Responses, IntArray]) -> Responses:
    """The same listeners, who hear a track whole or not at all, and so with the same mean."""
    heard = np.random.default_rng(8).random(len(truth[0])) < truth[0].time
    return replace(truth[0], time=heard.astype(np.float32))


def test_shares_that_are_all_noise_leave_most_of_the_model(
    truth: tuple[Responses, IntArray], noisy: Responses, model: SessionModel
) -> None:
    found = fit_model(noisy)
    assert found.dispersion == pytest.approx(1, abs=0.15)
    assert model.dispersion < 0.1
    assert found.artist_fatigue == pytest.approx(GAMMA, abs=0.1)
    means = expected_times(found, noisy)
    assert 1 - np.mean((means - truth[0].time) ** 2) / truth[0].time.var() > 0.8
    assert len(found.interests) < 3 * LISTENERS


def test_what_was_chosen_finds_interests_where_responses_are_too_few(
    truth: tuple[Responses, IntArray], noisy: Responses, taste: FloatArray
) -> None:
    """Of noisy responses, one in five teaches; ALS knows the tracks along other axes."""
    whole = truth[0]
    few = replace(noisy, is_held_out=np.arange(len(whole)) % 5 != 0).training()
    turned = taste @ np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    chosen = Chosen.of_factors(np.zeros((LISTENERS, 3)), turned)
    errors = []
    for prior in (None, chosen):
        means = expected_times(fit_model(few, chosen=prior), whole)
        errors.append(np.mean((means - whole.time) ** 2) / whole.time.var())
    assert errors[1] < 0.8 * errors[0]


def test_means_of_tracks_are_a_model_of_no_interest(
    truth: tuple[Responses, IntArray],
) -> None:
    responses = truth[0]
    served = track_means(responses)
    usual = responses.time.mean()
    artist = responses.artist.astype(np.int64)
    for tracks, times in (([3], [1.0]), ([3, 5, 9], [1.0, 0.0, 0.7])):
        vector = served.infer(1, 3, served.hear(artist, tracks, times))
        shares = 1 / (1 + np.exp(-(served.track_factors @ vector)))
        for track in (0, 77):
            own = responses.time[responses.track == track]
            mean = (own.sum() + 10 * usual) / (len(own) + 10)
            assert shares[track] == pytest.approx(mean, abs=1e-3)
