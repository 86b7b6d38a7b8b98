import pytest

from recsys.config import Search, Space
from recsys.errors import SearchError
from recsys.trials import plan_trials

SPACE = Space(factors=(8, 16), regularization=(0.1, 1.0), alpha=(1.0, 10.0, 40.0))


def test_a_grid_has_every_combination_once_the_largest_first() -> None:
    trials = plan_trials(Search(space=SPACE), "data", seed=1)
    combinations = {(t.params.factors, t.params.regularization, t.params.alpha) for t in trials}
    assert len(trials) == len(combinations) == len({trial.id for trial in trials}) == 2 * 2 * 3
    assert [trial.params.factors for trial in trials] == [16] * 6 + [8] * 6


def test_a_random_draw_is_part_of_the_grid_and_follows_from_the_seed() -> None:
    search = Search(strategy="random", trials=5, space=SPACE)
    grid = {trial.params for trial in plan_trials(Search(space=SPACE), "data", seed=1)}
    drawn = plan_trials(search, "data", seed=1)
    assert len({trial.params for trial in drawn}) == 5
    assert {trial.params for trial in drawn} <= grid
    assert drawn == plan_trials(search, "data", seed=1)
    assert {t.params for t in drawn} != {t.params for t in plan_trials(search, "data", seed=2)}


def test_more_random_trials_than_the_grid_has_are_refused() -> None:
    with pytest.raises(SearchError, match=r"search\.trials is 13, and search\.space has 12 combinations"):
        plan_trials(Search(strategy="random", trials=13, space=SPACE), "data", seed=1)


def test_a_trial_s_id_follows_from_data_parameters_and_seed() -> None:
    ids = {
        plan_trials(Search(space=Space(factors=(factors,))), data, seed)[0].id
        for factors, data, seed in ((8, "a", 1), (9, "a", 1), (8, "b", 1), (8, "a", 2), (8, "a", 1))
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("sweeps", "score_every", "scored"), [(15, 5, (5, 10, 15)), (7, 3, (3, 6, 7)), (4, 9, (4,)), (3, 1, (1, 2, 3))]
)
def test_the_last_sweep_is_always_scored(sweeps: int, score_every: int, scored: tuple[int, ...]) -> None:
    assert Search(sweeps=sweeps, score_every=score_every).scored_sweeps == scored
