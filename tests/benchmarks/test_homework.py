"""The homework at its size: its configurations."""

import math

from analysis.ab.config import AbConfig
from benchmarks.homework import CONFIGS, EXPERIMENT
from botify.settings import ServiceSettings
from looplib.config import load_config
from recsys.config import SearchConfig


def test_the_search_is_the_homeworks() -> None:
    config = load_config(SearchConfig, CONFIGS / "search.yaml")
    assert (config.split.holdout, config.export.top) == (0.15, 30)


def test_lists_at_random_are_compared_with_random_and_fall_back_to_the_artist() -> None:
    settings = load_config(ServiceSettings, CONFIGS / "botify.yaml")
    (experiment,) = settings.experiments
    assert (experiment.name, [arm.recommender for arm in experiment.arms]) == (
        EXPERIMENT,
        ["random", "indexed"],
    )
    assert settings.fallback.exhausted == ("sticky_artist",)


def test_two_thousand_sessions_of_a_day_reach_the_fixed_horizon() -> None:
    config = load_config(AbConfig, CONFIGS / "ab.yaml")
    expected = 10_000 * -math.expm1(-2000 / 10_000)  # distinct listeners of the world
    assert 0.9 * expected < (config.horizon or 0) < 0.97 * expected
    assert config.min_days == 1
