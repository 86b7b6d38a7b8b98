from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2_contingency

from looplib.errors import ConfigError
from looplib.experiments import Experiment, arm_name, load_experiment


def make(name: str, *weights: float, **changes: object) -> Experiment:
    arms = [{"weight": weight, "recommender": "random"} for weight in weights]
    return Experiment.model_validate({"name": name, "arms": arms, **changes})


@pytest.mark.parametrize(
    ("name", "arms", "logged"),
    [
        ("ALL", 7, [6, 5, 5, 4, 3, 2, 0, 4, 0, 1, 3, 2]),
        ("STICKY_ARTIST", 4, [1, 3, 2, 1, 3, 3, 2, 3, 0, 2, 1, 1]),
    ],
)
def test_equal_arms_are_those_that_the_original_service_logged(
    name: str, arms: int, logged: list[int]
) -> None:
    experiment = make(name, *[0.2] * arms)
    assert experiment.assign(range(12)) == [arm_name(index) for index in logged]


@pytest.mark.parametrize("weights", [(1, 1, 1), (5, 3, 2), (5, 3, 2, 0)])
def test_weights_are_shares(weights: tuple[float, ...]) -> None:
    users, experiment = range(40_000), make("SHARES", *weights)
    arms = Counter(experiment.assign(users))
    for arm, share in experiment.shares.items():
        assert arms[arm] / len(users) == pytest.approx(share, abs=0.012)


def test_weights_edited_in_place_move_no_more_from_equal_arms() -> None:
    before, after = make("GROWS", 1, 1, 1), make("GROWS", 4, 1, 1)
    users = range(20_000)
    moves = set(zip(before.assign(users), after.assign(users), strict=True))
    assert moves == {(arm, arm) for arm in before.shares} | {("T1", "C"), ("T2", "C")}


def test_experiments_are_independent() -> None:
    users = range(20_000)
    first, second = make("ONE", 1, 1).assign(users), make("OTHER", 3, 1).assign(users)
    table = np.zeros((2, 2))
    for arms in zip(first, second, strict=True):
        table[int(arms[0] == "C"), int(arms[1] == "C")] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_an_override_wins_over_the_hash() -> None:
    experiment = make("ALL", 1, 1, overrides={0: "C", 1: "T1"})
    assert experiment.assign([0, 1]) == experiment.assign(["0", "1"]) == ["C", "T1"]
    users = range(2, 50)  # none of whom moves
    assert make("ALL", 1, 1).assign(users) == experiment.assign(users)


@pytest.mark.parametrize(
    ("weights", "changes", "reason"),
    [
        ([], {}, "at least 1 item"),
        ([1, -1], {}, "greater than or equal to 0"),
        ([0, 0], {}, "all arms have the weight 0"),
        ([1, float("nan")], {}, "finite"),
        ([1, 1], {"overrides": {7: "T2"}}, "overrides name arm T2; the arms are C, T1"),
        (
            [1, 1],
            {"arms": [{"name": "C", "recommender": "random"}] * 2},
            "same name: C, C",
        ),
        (
            [1, 1],
            {"metrics": ["ms"], "lower_is_better": ["sm"]},
            "lower_is_better: no metric sm; all are ms",
        ),
    ],
)
def test_an_experiment_that_cannot_run_is_refused(
    weights: list[float], changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        make("BAD", *weights, **changes)


def test_a_file_of_one_arm_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("{name: ONE, arms: [{name: T1, recommender: random}]}")
    reason = r"one\.yaml: arms: at least two are expected, the control first; found T1"
    with pytest.raises(ConfigError, match=reason):
        load_experiment(str(file))
