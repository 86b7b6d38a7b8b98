"""The homework at its size: its configurations, the order of its steps, its picture."""

from pathlib import Path

from analysis.page import numbers
from benchmarks.homework import CONFIGS, EXPERIMENT, draw_results, steps_of
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


def test_the_experiment_is_played_before_it_is_reported(tmp_path: Path) -> None:
    assert list(steps_of(tmp_path, 1, 1)) == [
        "collect",
        "ingest",
        "search",
        "export",
        "experiment",
        "report",
    ]


def test_the_picture_shows_every_metric_with_its_effect() -> None:
    row = {"metric": "time", "effect": 5, "lower": 4, "upper": 6, "control_value": 10}
    picture = draw_results([row])
    assert picture.startswith("<svg")
    assert all(
        text in picture
        for text in (
            "time",
            numbers.change(50, 1),
            numbers.interval(40, 60, 1),
        )
    )
