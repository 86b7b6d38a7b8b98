"""The homework at its size: its configurations."""

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
