"""The context model as the service loads it, and the recommender that follows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify.errors import ModelError
from botify.model.catalogue import load_catalogue
from botify.model.loading import load_model
from botify.model.model import Model
from botify.recommenders.base import EXHAUSTED, UNKNOWN, Row
from botify.recommenders.context import interest_of, session_context
from botify.recommenders.registry import FallbackSettings, recommend
from tests.botify.exports import make_settings, publish, random_lists, update_manifest, write_catalogue

TRACKS, FACTORS, FATIGUE = 40, 3, 0.5
ARTISTS = [track % 8 for track in range(TRACKS)]
KNOWN, OTHER_OPENING, NEWCOMER = 5, 9, 77  # listener 5 has opened sessions with tracks 1, 2 and 30


def arrays(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  whatever NumPy saves
    rng = np.random.default_rng(6)
    size = FACTORS + 1
    root = rng.normal(size=(size, size))
    made = {
        "tracks": np.arange(TRACKS),
        "track_factors": rng.normal(size=(TRACKS, FACTORS)).astype(np.float32),
        "listeners": np.array([2, KNOWN, KNOWN, KNOWN]),
        "organics": np.array([1, 1, 2, 30]),
        "interest_of": np.array([2, 0, 0, 1], dtype=np.int32),
        "interests": rng.normal(size=(3, size)).astype(np.float32),
        "evidence": np.array([4, 2, 1], dtype=np.int32),
        "interest_precision": (root @ root.T + np.eye(size)).astype(np.float32),
        "information": np.eye(size, dtype=np.float32),
        "newcomer_map": rng.normal(size=(size, size)).astype(np.float32),
        "newcomer_precision": np.eye(size, dtype=np.float32),
        "noise": np.float64(0.1),
        "artist_fatigue": np.float64(FATIGUE),
        "resolution": np.float64(0.01),
    }
    return {**made, **changes}


def publish_context(root: Path, **changes: Any) -> Path:  # noqa: ANN401  whatever NumPy saves
    """Publish a version with a context model; returns the version's folder."""
    catalogue = write_catalogue(root / "tracks.json", ARTISTS)
    folder = publish(root, "one", random_lists(20, TRACKS), catalogue=catalogue)
    np.savez(folder / "context.npz", **arrays(**changes))
    update_manifest(folder, "context.npz")
    return folder


def load(root: Path) -> Model:
    settings = make_settings(root, root / "tracks.json", "session_context")
    return load_model(settings, load_catalogue(settings.catalog))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("context")
    publish_context(root)
    return load(root)


def row(user: int, tracks: list[int], times: list[float], taken: list[int] | None = None) -> Row:
    return Row(user, tracks, times, {*tracks, *(taken or [])})


def ask(model: Model, *rows: Row) -> list[int]:
    return [drawn.track for drawn in session_context(model, rows, np.random.default_rng(1))]


def expected_interest(user: int, tracks: list[int], times: list[float]) -> np.ndarray[Any, Any]:
    """The posterior by completing the joint Gaussian: the prior's root stands above the observations."""
    made = arrays()
    vectors = np.hstack([made["track_factors"], np.ones((TRACKS, 1))]).astype(float)
    openings = list(zip(made["listeners"].tolist(), made["organics"].tolist(), strict=True))
    if (user, tracks[0]) in openings:
        interest = made["interest_of"][openings.index((user, tracks[0]))]
        mean = made["interests"][interest].astype(float)
        precision = made["interest_precision"] + made["evidence"][interest] * made["information"]
    else:
        mean, precision = vectors[tracks[0]] @ made["newcomer_map"], made["newcomer_precision"]
    root = np.linalg.cholesky(precision.astype(float)).T
    design, targets = [*root], [*(root @ mean)]
    for i, (track, time) in enumerate(zip(tracks, times, strict=True)):
        if i and track not in tracks[:i]:
            earlier = sum(ARTISTS[other] == ARTISTS[track] for other in tracks[:i])
            share = min(max(time / FATIGUE**earlier, 0.0025), 0.9975)
            deviation = (0.1 + (0.01**2 / 12) / (share * (1 - share)) ** 2) ** 0.5
            design.append(vectors[track] / deviation)
            targets.append(np.log(share / (1 - share)) / deviation)
    solution: np.ndarray[Any, Any] = np.linalg.lstsq(np.array(design), np.array(targets), rcond=None)[0]
    return solution


SESSIONS = [
    (KNOWN, [1], [1.0]),
    (KNOWN, [30, 4, 12, 7], [1.0, 0.2, 0.31, 0.97]),
    (2, [1, 9, 9, 17], [1.0, 0.4, 0.0, 0.1]),
    (NEWCOMER, [3, 11, 19, 20], [1.0, 0.0, 1.0, 0.5]),
    (2**63 - 1, [3, 11], [1.0, 0.25]),
]


@pytest.mark.parametrize(("user", "tracks", "times"), SESSIONS)
def test_the_interest_is_the_posterior_of_the_regression(
    model: Model, user: int, tracks: list[int], times: list[float]
) -> None:
    assert model.context is not None
    found = interest_of(model.context, model.catalogue, row(user, tracks, times))
    assert found == pytest.approx(expected_interest(user, tracks, times), abs=1e-4)


@pytest.mark.parametrize(("user", "tracks", "times"), SESSIONS)
def test_the_track_with_the_longest_expected_time_is_recommended(
    model: Model, user: int, tracks: list[int], times: list[float]
) -> None:
    interest = expected_interest(user, tracks, times)
    logit = arrays()["track_factors"] @ interest[:-1] + interest[-1]
    plays = np.array([sum(ARTISTS[heard] == artist for heard in tracks) for artist in ARTISTS])
    time = FATIGUE**plays / (1 + np.exp(-logit))
    time[[*tracks, 8]] = -1
    assert ask(model, row(user, tracks, times, taken=[8])) == [int(time.argmax())]


def test_a_batch_gets_what_each_session_would_get_alone(model: Model) -> None:
    rng = np.random.default_rng(7)
    rows = []
    for _ in range(150):
        tracks = rng.permutation(TRACKS)[: rng.integers(1, 20)].tolist()
        rows.append(row(int(rng.choice([2, KNOWN, NEWCOMER])), tracks, [1.0, *rng.random(len(tracks) - 1).round(2)]))
    together = ask(model, *rows)
    assert together == [ask(model, alone)[0] for alone in rows]
    assert not any(track in asked.taken for track, asked in zip(together, rows, strict=True))


def test_a_new_opening_takes_the_listeners_interest_that_points_to_the_track(model: Model) -> None:
    assert model.context is not None
    usual = np.append(model.context.tracks[OTHER_OPENING], 1) @ model.context.newcomer_map
    own = model.context.interests[[0, 1]]
    cosines = own[:, :-1] @ usual[:-1] / np.linalg.norm(own[:, :-1], axis=1)
    mean, _ = model.context.prior(KNOWN, OTHER_OPENING)
    assert (mean == own[cosines.argmax()]).all()


def test_a_session_that_heard_everything_is_exhausted(model: Model) -> None:
    assert ask(model, row(KNOWN, list(range(TRACKS)), [1.0] * TRACKS)) == [EXHAUSTED]


def test_a_version_without_a_context_model_leaves_it_to_the_fallback(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", ARTISTS)
    publish(tmp_path, "one", random_lists(20, TRACKS), catalogue=catalogue)
    model = load(tmp_path)
    assert model.context is None
    assert ask(model, row(KNOWN, [1], [1.0])) == [UNKNOWN]
    fallback = FallbackSettings(unknown=("top_pop",))
    (answer,) = recommend(model, [row(KNOWN, [1], [1.0])], ["session_context"], fallback, np.random.default_rng(1))
    assert answer[0] == "top_pop"


def test_it_is_loaded_only_where_it_is_asked_for(tmp_path: Path) -> None:
    publish_context(tmp_path)
    settings = make_settings(tmp_path, tmp_path / "tracks.json", "indexed")
    assert load_model(settings, load_catalogue(settings.catalog)).context is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": np.float64("nan")}, "noise holds NaN"),
        ({"organics": np.array([1, 1, 2, TRACKS])}, r"organics has 1\.\.40; allowed is 0\.\.39"),
        ({"tracks": np.arange(TRACKS) - 1}, r"tracks has -1\.\.38"),
        ({"interest_of": np.array([2, 0, 0, 3])}, r"interest_of has 0\.\.3; allowed is 0\.\.2"),
        ({"organics": np.array([1, 2, 1, 30])}, r"openings are not sorted or repeat \(at 2\)"),
        ({"evidence": np.array([1, 2])}, r"evidence is \(2,\), but there are 3 interests"),
        ({"interests": np.zeros((3, 4), dtype=np.int32)}, "interests is int32"),
        ({"track_factors": np.zeros((TRACKS, 4), dtype=np.float32)}, "4 factors need interests of one more, not 4"),
        ({"information": np.zeros(4, dtype=np.float32)}, r"information is float32 \(4,\), expected f with 2 axes"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    publish_context(tmp_path, **changes)
    with pytest.raises(ModelError, match=f"context.npz: {message}"):
        load(tmp_path)


def _without_an_array(file: Path) -> None:
    made = arrays()
    del made["evidence"]
    np.savez(file, **made)


def _with_an_object(file: Path) -> None:
    np.savez(file, **arrays(evidence=np.array([{}, None, 1], dtype=object)))


@pytest.mark.parametrize("damage", [_without_an_array, _with_an_object, lambda file: file.write_bytes(b"PK no zip")])
def test_a_damaged_model_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = publish_context(tmp_path)
    damage(folder / "context.npz")
    with pytest.raises(ModelError, match=r"context\.npz"):
        load(tmp_path)
    update_manifest(folder, "context.npz")
    with pytest.raises(ModelError, match=r"context\.npz: not a context model of ours"):
        load(tmp_path)
