"""The plan of a search: every combination once, and ids that follow from what a trial is."""

import pytest

from looplib.als import AlsParams
from recsys.config import Models, Search, Space
from recsys.search.leaderboard import describe
from recsys.search.trials import plan_baselines, plan_candidates, plan_wider

SPACE = Space(factors=(8, 16), regularization=(0.1, 1.0), alpha=(1.0, 10.0, 40.0))


def test_a_grid_has_every_combination_once_the_largest_first() -> None:
    planned = plan_candidates(Search(space=SPACE), "data", seed=1)
    combinations = {
        (t.params.factors, t.params.regularization, t.params.alpha) for t in planned
    }
    assert (
        len(planned)
        == len(combinations)
        == len({trial.id for trial in planned})
        == 2 * 2 * 3
    )
    assert [trial.params.factors for trial in planned] == [16] * 6 + [8] * 6


def test_kinds_beside_als_have_axes_of_their_own_and_may_need_an_order() -> None:
    models = Models.model_validate(
        {"activation": {"decay": [0.3, 0.5]}, "item_knn": {"weighting": "cosine"}}
    )
    search = Search(space=SPACE, models=models)
    planned = plan_candidates(search, "data", seed=1, is_ordered=True)
    assert [describe(trial) for trial in planned[-3:]] == [
        "activation decay 0.3",
        "activation decay 0.5",
        "item_knn neighbours 200, weighting cosine",
    ]
    assert len({trial.id for trial in planned}) == 2 * 2 * 3 + 3
    unordered = plan_candidates(search, "data", seed=1)
    assert {trial.kind for trial in unordered} == {"als", "item_knn"}


def test_baselines_need_no_order_but_the_latest() -> None:
    names = ["popular", "most_played"]
    assert [trial.id for trial in plan_baselines(1)] == names
    ordered = plan_baselines(1, is_ordered=True)
    assert [trial.id for trial in ordered] == [*names, "latest"]


def test_every_axis_of_the_space_is_a_hyperparameter() -> None:
    assert set(Space.model_fields) == set(AlsParams.__dataclass_fields__)


def test_a_trial_s_id_follows_from_data_parameters_and_seed() -> None:
    ids = {
        plan_candidates(Search(space=Space(factors=(factors,))), data, seed)[0].id
        for factors, data, seed in (
            (8, "a", 1),
            (9, "a", 1),
            (8, "b", 1),
            (8, "a", 2),
            (8, "a", 1),
        )
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("sweeps", "score_every", "scored"),
    [(15, 5, (5, 10, 15)), (7, 3, (3, 6, 7)), (4, 9, (4,)), (3, 1, (1, 2, 3))],
)
def test_the_last_sweep_is_always_scored(
    sweeps: int, score_every: int, scored: tuple[int, ...]
) -> None:
    assert Search(sweeps=sweeps, score_every=score_every).scored_sweeps == scored


@pytest.mark.parametrize(
    ("sweeps", "scored"),
    [(15, (1, 2, 3, 4, 6, 9, 13, 15)), (4, (1, 2, 3, 4)), (2, (1, 2)), (1, (1,))],
)
def test_halving_scores_after_half_as_many_sweeps_again(
    sweeps: int, scored: tuple[int, ...]
) -> None:
    assert Search(strategy="halving", sweeps=sweeps).scored_sweeps == scored


def beyond(search: Search, kind: str = "als", **params: float) -> dict[str, float]:
    """Each axis at whose edge a trial with these hyperparameters is, and what lies beyond."""
    planned = plan_candidates(search, "data", seed=1, is_ordered=True)
    trial = next(
        trial
        for trial in planned
        if trial.kind == kind and params.items() <= vars(trial.params).items()
    )
    wider = plan_wider(trial, planned, "data")
    assert all(
        (found.kind, found.seed) == (trial.kind, trial.seed) for found in wider.values()
    )
    return {axis: getattr(found.params, axis) for axis, found in wider.items()}


def test_beyond_an_edge_lies_a_geometric_step() -> None:
    assert beyond(Search(space=SPACE), factors=16, regularization=0.1, alpha=10.0) == {
        "factors": 32,
        "regularization": 0.01,
    }
    assert beyond(Search(space=SPACE), factors=8, regularization=1.0, alpha=40.0) == {
        "factors": 4,
        "regularization": 10.0,
        "alpha": 160.0,
    }


def test_an_axis_of_one_value_or_ending_at_0_or_at_its_limit_has_no_edge() -> None:
    space = Space(factors=(1, 2), nu=(0.0, 1.0))
    search = Search(
        space=space,
        models=Models.model_validate({"item_knn": {"b": [0.5, 1.0], "k1": 1.2}}),
    )
    assert beyond(search, factors=1, nu=0.0) == {}
    assert beyond(search, factors=2, nu=1.0) == {
        "factors": 4,
        "nu": 2.0,
    }
    assert beyond(search, "item_knn", b=1.0) == {}
    assert beyond(search, "item_knn", b=0.5) == {"b": 0.25}
