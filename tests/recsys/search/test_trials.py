"""The plan of a search: every combination once, and ids that follow from what a trial is."""

from typing import Any

from recsys.models.registry import read_models
from recsys.models.trial import Trial
from recsys.search.leaderboard import describe
from recsys.search.trials import plan_beyond, plan_trials

AXES = {"factors": [8, 16], "regularization": [0.1, 1.0], "alpha": [1.0, 10.0, 40.0]}


def plan(
    models: dict[str, Any],
    data: str = "data",
    seed: int = 1,
    *,
    is_ordered: bool = True,
) -> list[Trial]:
    return plan_trials(read_models(models), data, seed, is_ordered=is_ordered)


def test_a_grid_has_every_combination_once_the_largest_first() -> None:
    trials = plan({"als": AXES})
    combinations = {tuple(trial.params.values()) for trial in trials}
    assert len(combinations) == len({trial.id for trial in trials}) == 2 * 2 * 3
    assert [trial.params["factors"] for trial in trials] == [16] * 6 + [8] * 6


def test_every_kind_has_axes_of_its_own_and_may_need_an_order() -> None:
    models = {
        "als": AXES,
        "activation": {"decay": [0.3, 0.5]},
        "item_knn": {"weighting": "cosine"},
    }
    trials = plan(models)
    assert [describe(trial) for trial in trials[-3:]] == [
        "activation decay 0.3",
        "activation decay 0.5",
        "item_knn neighbours 200, weighting cosine",
    ]
    assert len({trial.id for trial in trials}) == 2 * 2 * 3 + 3
    unordered = plan(models, is_ordered=False)
    assert {trial.kind for trial in unordered} == {"als", "item_knn"}


def test_a_trial_s_id_follows_from_data_hyperparameters_and_seed() -> None:
    facts = ((8, "a", 1), (9, "a", 1), (8, "b", 1), (8, "a", 2), (8, "a", 1))
    ids = {
        plan({"als": {"factors": factors}}, data, seed)[0].id
        for factors, data, seed in facts
    }
    assert len(ids) == 4


def beyond(models: dict[str, Any], **params: float) -> dict[str, float]:
    """Each axis at whose edge a trial of the last kind is, and what lies beyond."""
    trials = plan(models)
    (kind,) = {*models} - {"als"} or {"als"}
    trial = next(
        trial
        for trial in trials
        if trial.kind == kind and params.items() <= trial.params.items()
    )
    planned = plan_beyond(trial, trials, "data")
    assert all(other.kind == kind and other.seed == 1 for other in planned.values())
    return {axis: other.params[axis] for axis, other in planned.items()}


def test_beyond_an_edge_lies_a_geometric_step() -> None:
    models = {"als": AXES}
    assert beyond(models, factors=16, regularization=0.1, alpha=10.0) == {
        "factors": 32,
        "regularization": 0.01,
    }
    assert beyond(models, factors=8, regularization=1.0, alpha=40.0) == {
        "factors": 4,
        "regularization": 10.0,
        "alpha": 160.0,
    }


def test_an_axis_of_one_value_or_ending_at_0_or_at_its_limit_has_no_edge() -> None:
    als = {"als": {"factors": [1, 2], "nu": [0.0, 1.0]}}
    assert beyond(als, factors=1, nu=0.0) == {}
    assert beyond(als, factors=2, nu=1.0) == {"factors": 4, "nu": 2.0}
    knn = {"item_knn": {"b": [0.5, 1.0], "k1": 1.2}}
    assert beyond(als | knn, b=1.0) == {}
    assert beyond(als | knn, b=0.5) == {"b": 0.25}
