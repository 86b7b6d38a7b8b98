"""The recommender that follows the interest of a session."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import multivariate_normal

from botify.errors import ModelError
from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.model import Model
from botify.model.session_model import SESSION_MODEL
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Row
from botify.recommenders.registry import FallbackSettings, recommend
from botify.recommenders.session_model import FollowInterest
from looplib.session_model import FORMAT
from tests.botify.exports import (
    edit_manifest,
    make_settings,
    publish,
    random_lists,
    write_catalogue,
)
from tests.botify.session_models import (
    ARTISTS,
    FATIGUE,
    KNOWN,
    NEWCOMER,
    OTHER_OPENING,
    TRACKS,
    arrays,
    load,
    publish_session_model,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("session_model")
    publish_session_model(root)
    return load(root)


def row(
    user: int, tracks: list[int], times: list[float], taken: list[int] | None = None
) -> Row:
    found = Row(user, tracks, times)
    found.taken = frozenset({*tracks, *(taken or [])})
    return found


def ask(model: Model, *rows: Row) -> list[int]:
    rng = np.random.default_rng(1)
    return [FollowInterest().draw(model, row, rng).track for row in rows]


def follow(model: Model, user: int, tracks: list[int], times: list[float]) -> "Vector":
    fitted = model.get(SESSION_MODEL)
    assert fitted is not None
    heard = fitted.hear(model.catalogue.artist, tracks, times)
    return fitted.infer(user, tracks[0], heard)


Vector = np.ndarray[Any, Any]
Normal = tuple[float, Vector, Vector]  # chance, mean, covariance


def normals(user: int, organic: int) -> list[Normal]:
    """Return what a session may follow at first, by the description of the file."""
    made = arrays()
    vectors = made["interests"].astype(float)
    openings = dict(
        zip(
            zip(made["listeners"].tolist(), made["organics"].tolist(), strict=True),
            made["interest_of"].tolist(),
            strict=True,
        )
    )
    own = sorted({i for (owner, _), i in openings.items() if owner == user})
    interest = openings.get((user, organic))
    if interest is not None:
        return [(float(i == interest), vectors[i], made["covariance"]) for i in own]
    new = made["track_factors"][organic].astype(float) @ made["new_map"]
    off = multivariate_normal(new, made["new_covariance"])
    densities = [np.exp(off.logpdf(vectors[i]) - off.logpdf(new)) for i in own]
    odds = [*(np.exp(made["odds"][own]) * densities), 1.0]
    known = [(vectors[i], made["covariance"]) for i in own]
    all_of_them = [*known, (new, made["new_covariance"])]
    return [
        (odd / sum(odds), *normal)
        for odd, normal in zip(odds, all_of_them, strict=True)
    ]


def expected_interest(user: int, tracks: list[int], times: list[float]) -> Vector:
    """Average the normals by their evidence, a joint density; move each by precisions."""
    made, candidates = arrays(), normals(user, tracks[0])
    heard = [i for i in range(1, len(tracks)) if tracks[i] not in tracks[:i]][-32:]
    design = made["track_factors"][[tracks[i] for i in heard]].astype(float)
    rest = np.array(
        [
            FATIGUE ** sum(ARTISTS[t] == ARTISTS[tracks[i]] for t in tracks[:i])
            for i in heard
        ]
    )
    share = np.array([times[i] for i in heard])

    def step(mean: Vector, covariance: Vector) -> tuple[Vector, Vector]:
        fresh = expit(np.clip(design @ mean, -8, 8))
        slope = np.maximum(rest * fresh * (1 - fresh), 0.1 * rest)
        noise = 0.2 * rest * fresh * (1 - rest * fresh) + 0.01**2 / 12
        noise = noise / (rest * fresh * (1 - fresh) * slope)
        target = design @ mean + (share - rest * fresh) / slope
        precision = np.linalg.inv(covariance) + (design.T / noise) @ design
        middle, spread = design @ mean, design @ covariance @ design.T + np.diag(noise)
        joint = [
            multivariate_normal(middle[:i], spread[:i, :i]).logpdf(target[:i])
            for i in range(1, len(target) + 1)
        ]
        moved = mean + np.linalg.solve(
            precision, (design.T / noise) @ (target - design @ mean)
        )
        return moved, np.diff(joint, prepend=0) - np.log(slope)

    chances = np.array([chance for chance, *_ in candidates])
    vectors = [mean for _, mean, _ in candidates]
    if heard:
        steps = [step(mean, covariance) for _, mean, covariance in candidates]
        logs = np.array([density for _, density in steps])
        # no response says more than this against a vector
        chances *= np.exp(np.maximum(logs - logs.max(axis=0), -20).sum(axis=1))
        vectors = [moved for moved, _ in steps]
    found: Vector = chances @ np.array(vectors) / chances.sum()
    return found


SESSIONS = [
    (KNOWN, [1], [1.0]),
    (KNOWN, [30, 4, 12, 7], [1.0, 0.2, 0.31, 0.97]),
    (2, [1, 9, 9, 17], [1.0, 0.4, 0.0, 0.1]),
    (NEWCOMER, [3, 11, 19, 20], [1.0, 0.0, 1.0, 0.5]),
    (2**63 - 1, [3, 11], [1.0, 0.25]),
    (KNOWN, [OTHER_OPENING], [1.0]),
    (KNOWN, [OTHER_OPENING, 4, 12, 7, 20], [1.0, 0.2, 0.31, 0.97, 0.0]),
    (2, [OTHER_OPENING, *range(10, 38)], [1.0, *[0.9, 0.1] * 14]),
    (KNOWN, list(range(1, 39)), [1.0, *[0.3] * 37]),
]


@pytest.mark.parametrize(("user", "tracks", "times"), SESSIONS)
def test_the_interest_is_the_posterior_of_the_regression(
    model: Model, user: int, tracks: list[int], times: list[float]
) -> None:
    found = follow(model, user, tracks, times)
    assert found == pytest.approx(expected_interest(user, tracks, times), abs=1e-4)


def test_a_track_that_the_catalogue_lacks_is_one_of_which_nothing_is_known(
    model: Model,
) -> None:
    found = follow(model, NEWCOMER, [UNKNOWN_TRACK], [1.0])
    assert found == pytest.approx(0)
    for user in (2, KNOWN, NEWCOMER):
        tracks, times = [UNKNOWN_TRACK, 4, UNKNOWN_TRACK, 12], [1.0, 0.2, 0.9, 0.6]
        (track,) = ask(model, Row(user, tracks, times))
        assert track in range(TRACKS)
    fitted = model.get(SESSION_MODEL)
    assert fitted is not None
    heard = fitted.hear(model.catalogue.artist, tracks, times)
    assert heard.tracks == [4, 12]
    assert heard.plays == {4: 2}
    assert heard.rest.tolist() == [1.0, FATIGUE]


@pytest.mark.parametrize(("user", "tracks", "times"), SESSIONS)
def test_the_track_with_the_longest_expected_time_is_recommended(
    model: Model, user: int, tracks: list[int], times: list[float]
) -> None:
    interest = expected_interest(user, tracks, times)
    logit = arrays()["track_factors"] @ interest
    plays = np.array(
        [sum(ARTISTS[heard] == artist for heard in tracks) for artist in ARTISTS]
    )
    time = FATIGUE**plays / (1 + np.exp(-logit))
    time[[*tracks, 8]] = -1
    assert ask(model, row(user, tracks, times, taken=[8])) == [int(time.argmax())]


def test_a_batch_gets_what_each_session_would_get_alone(model: Model) -> None:
    rng = np.random.default_rng(7)
    rows = []
    for _ in range(150):
        tracks = rng.permutation(TRACKS)[: rng.integers(1, 20)].tolist()
        rows.append(
            row(
                int(rng.choice([2, KNOWN, NEWCOMER])),
                tracks,
                [1.0, *rng.random(len(tracks) - 1).round(2)],
            )
        )
    together = ask(model, *rows)
    assert together == [ask(model, alone)[0] for alone in rows]
    assert not any(
        track in asked.taken for track, asked in zip(together, rows, strict=True)
    )


def test_a_new_opening_follows_what_is_heard(model: Model) -> None:
    """Each vector that it may follow is found by the session that it would answer."""
    tracks = [
        track for track in range(TRACKS) if track not in (1, 2, 30, OTHER_OPENING)
    ][:30]
    followed = []
    for _, mean, _ in normals(KNOWN, OTHER_OPENING):
        fatigue = np.array(
            [
                FATIGUE
                ** [ARTISTS[t] for t in [OTHER_OPENING, *tracks[:i]]].count(
                    ARTISTS[track]
                )
                for i, track in enumerate(tracks)
            ]
        )
        times = fatigue * expit(arrays()["track_factors"][tracks] @ mean)
        found = follow(model, KNOWN, [OTHER_OPENING, *tracks], [1.0, *times.round(2)])
        followed.append(found)
        assert np.linalg.norm(found - mean) < 0.35 * np.linalg.norm(mean)
    assert len(followed) == 3


def test_a_session_that_changes_is_followed(tmp_path: Path) -> None:
    """The opening's interest hears the first four tracks, another one the others."""
    made = arrays()
    tracks = [track for track in range(TRACKS) if track not in (1, 2, 30)][:10]
    factors, interests = made["track_factors"][tracks], made["interests"]
    plays = [
        [ARTISTS[t] for t in [1, *tracks[:i]]].count(ARTISTS[track])
        for i, track in enumerate(tracks)
    ]
    rest = FATIGUE ** np.array(plays)
    times = (
        (
            rest
            * expit(factors @ interests[np.where(np.arange(10) < 4, 0, 1)].T).diagonal()
        )
        .round(2)
        .tolist()
    )
    numbers = {"interest_change": 0.1, "dispersion": 0.02}
    changes = {name: np.float64(number) for name, number in numbers.items()}
    sure = 0.005 * np.eye(interests.shape[1], dtype=np.float32)
    publish_session_model(tmp_path, covariance=sure, **changes)
    model = load(tmp_path)
    for heard, interest in ((4, 0), (10, 1)):
        found = follow(model, KNOWN, [1, *tracks[:heard]], [1.0, *times[:heard]])
        assert np.linalg.norm(found - interests[interest]) < 0.3 * np.linalg.norm(
            interests[0] - interests[1]
        )


def test_a_session_that_heard_everything_is_exhausted(model: Model) -> None:
    assert ask(model, row(KNOWN, list(range(TRACKS)), [1.0] * TRACKS)) == [EXHAUSTED]


def test_a_version_without_a_session_model_leaves_it_to_the_fallback(
    tmp_path: Path,
) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    publish(tmp_path, "one", random_lists(20, TRACKS), catalogue=catalogue)
    model = load(tmp_path)
    assert model.get(SESSION_MODEL) is None
    assert ask(model, row(KNOWN, [1], [1.0])) == [UNKNOWN]
    fallback = FallbackSettings(unknown=("top_pop",))
    (answer,) = recommend(
        model,
        [row(KNOWN, [1], [1.0])],
        ["session_model"],
        fallback,
        np.random.default_rng(1),
    )
    assert answer[0] == "top_pop"


def test_what_held_out_sessions_chose_answers_in_its_place(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    folder = publish(tmp_path, "one", random_lists(20, TRACKS), catalogue=catalogue)
    edit_manifest(folder, session_model={"format": FORMAT, "serves": "in_order"})
    settings = make_settings(tmp_path, catalogue, "session_model")
    model, asked = load(tmp_path), [row(KNOWN, [1], [1.0])]
    rng = np.random.default_rng(1)
    (answer,), (other,) = (
        recommend(model, asked, [name], settings.fallback, rng)
        for name in ("session_model", "in_order")
    )
    assert answer == ("session_model", other[1])
    assert other[1].track == model.recommendations.list_of(KNOWN)[0]
    assert settings.lacking(model) == [
        "session_model: version one has in_order in its place, as held-out sessions did not show "
        "that it is better"
    ]
    edit_manifest(folder, session_model={"format": FORMAT, "serves": "mine"})
    with pytest.raises(ModelError, match="mine"):
        load(tmp_path)
