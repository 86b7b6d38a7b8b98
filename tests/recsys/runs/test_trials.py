"""The plan of a search: every combination once, and ids that follow from what a trial is."""

import pytest

from looplib.als import AlsParams
from recsys.config import Halving, Models, Search, Space
from recsys.errors import SearchError
from recsys.runs.leaderboard import describe
from recsys.runs.trials import plan_baselines, plan_candidates

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


def test_a_random_draw_is_part_of_the_grid_and_follows_from_the_seed() -> None:
    search = Search(strategy="random", trials=5, space=SPACE)
    grid = {
        trial.params for trial in plan_candidates(Search(space=SPACE), "data", seed=1)
    }
    drawn = plan_candidates(search, "data", seed=1)
    assert len({trial.params for trial in drawn}) == 5
    assert {trial.params for trial in drawn} <= grid
    assert drawn == plan_candidates(search, "data", seed=1)
    assert {t.params for t in drawn} != {
        t.params for t in plan_candidates(search, "data", seed=2)
    }


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
    names = ["random", "popular", "most_played"]
    assert [trial.id for trial in plan_baselines(1)] == names
    ordered = plan_baselines(1, is_ordered=True)
    assert [trial.id for trial in ordered] == [*names, "latest"]


def test_every_axis_of_the_space_is_a_hyperparameter() -> None:
    assert set(Space.model_fields) == set(AlsParams.__dataclass_fields__)


def test_more_random_trials_than_the_grid_has_are_refused() -> None:
    with pytest.raises(
        SearchError,
        match=r"search\.trials is 13, and search\.space has 12 combinations",
    ):
        plan_candidates(
            Search(strategy="random", trials=13, space=SPACE), "data", seed=1
        )


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
    ("sweeps", "eta", "rungs", "cuts"),
    [
        (15, 3, 2, (1, 5)),
        (20, 4, 2, (1, 5)),
        (27, 3, 3, (1, 3, 9)),
        (4, 3, 2, (1,)),
        (2, 2, 5, (1,)),
        (1, 3, 2, ()),
    ],
)
def test_rungs_are_eta_times_the_sweeps_of_the_one_before(
    sweeps: int, eta: int, rungs: int, cuts: tuple[int, ...]
) -> None:
    search = Search(
        strategy="halving", sweeps=sweeps, halving=Halving(eta=eta, rungs=rungs)
    )
    assert search.rungs == cuts
    assert set(cuts) | {sweeps} <= set(search.scored_sweeps)
    assert Search(sweeps=sweeps).rungs == ()
