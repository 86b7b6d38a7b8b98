import mmh3
import numpy as np
import pytest
from scipy.stats import chi2_contingency

from botify.experiments import Arm, Assignments, Experiment, arm_name
from looplib.errors import ConfigError, UserError


def make(name: str, *weights: float, salt: str | None = None, overrides: dict[int, str] | None = None) -> Experiment:
    arms = tuple(Arm(arm_name(index), weight, "random") for index, weight in enumerate(weights))
    return Experiment(name, arms, salt, overrides or {})


@pytest.mark.parametrize(
    ("name", "arms", "logged"),
    [
        ("ALL", 7, [6, 5, 5, 4, 3, 2, 0, 4, 0, 1, 3, 2]),
        ("STICKY_ARTIST", 4, [1, 3, 2, 1, 3, 3, 2, 3, 0, 2, 1, 1]),
    ],
)
def test_equal_arms_are_those_that_the_original_service_logged(name: str, arms: int, logged: list[int]) -> None:
    experiment = make(name, *[1.0] * arms)
    assert [experiment.assign(user).name for user in range(12)] == [arm_name(index) for index in logged]


def test_equal_arms_take_the_hash_modulo_their_number_whatever_the_weight() -> None:
    experiment = make("ANY", 0.2, 0.2, 0.2)
    for user in [0, 1, 17, 2**31, 2**63 - 1]:
        expected = mmh3.hash(str(user), mmh3.hash("ANY", signed=False), signed=False) % 3
        assert experiment.assign(user) is experiment.arms[expected]


def test_weights_are_the_shares_of_the_listeners() -> None:
    experiment = make("WEIGHTED", 8, 1, 1)
    names = [experiment.assign(user).name for user in range(50_000)]
    for name, share in {"C": 0.8, "T1": 0.1, "T2": 0.1}.items():
        assert experiment.shares[name] == pytest.approx(share)
        assert names.count(name) / 50_000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 50_000))


def test_more_weight_moves_listeners_into_the_arm_and_none_between_the_others() -> None:
    before, after = make("GROWS", 9, 1), make("GROWS", 8, 2)
    moves = {(before.assign(user).name, after.assign(user).name) for user in range(10_000)}
    assert moves == {("C", "C"), ("C", "T1"), ("T1", "T1")}


def test_experiments_are_independent_of_one_another() -> None:
    one, other = make("ONE", 1, 1), make("OTHER", 3, 1)
    table = np.zeros((2, 2))
    for user in range(20_000):
        table[one.assign(user).name == "C", other.assign(user).name == "C"] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_a_salt_splits_anew_and_one_salt_splits_alike() -> None:
    def arms(experiment: Experiment) -> list[str]:
        return [experiment.assign(user).name for user in range(1000)]

    assert arms(make("A", 1, 1, salt="x")) != arms(make("A", 1, 1))
    assert arms(make("A", 1, 1, salt="x")) == arms(make("B", 1, 1, salt="x"))


def test_an_override_wins_over_the_hash() -> None:
    experiment = make("ALL", 1, 1, overrides={0: "C", 1: "T1"})
    assert [experiment.assign(user).name for user in (0, 1)] == ["C", "T1"]
    assert make("ALL", 1, 1).assign_all(range(2, 50)) == experiment.assign_all(range(2, 50)), "nobody else moves"


def test_all_running_experiments_are_named_with_the_arm() -> None:
    running = [make("ALL", *[1] * 7), make("STICKY_ARTIST", *[1] * 4)]
    assert Assignments(running).of([0, 1]) == [
        {"ALL": "T6", "STICKY_ARTIST": "T1"},
        {"ALL": "T5", "STICKY_ARTIST": "T3"},
    ]


@pytest.mark.parametrize(
    ("weights", "overrides", "reason"),
    [
        ([], {}, "no arms"),
        ([1, 0], {}, "arm T1 has weight 0; a positive number is expected"),
        ([1, float("nan")], {}, "arm T1 has weight nan"),
        ([1, 1], {7: "T2"}, "listener 7 is put into arm T2; the arms are C, T1"),
    ],
)
def test_an_experiment_that_cannot_run_is_refused(weights: list[float], overrides: dict[int, str], reason: str) -> None:
    with pytest.raises(UserError, match=f"experiment BAD: .*{reason}"):
        make("BAD", *weights, overrides=overrides)


def test_two_arms_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two arms of one name among C, C"):
        Experiment("BAD", (Arm("C", 1, "random"), Arm("C", 1, "indexed")))
