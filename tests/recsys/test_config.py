"""Configurations of a search: refused settings, and the axes of models."""

from pathlib import Path

import pytest

from looplib.config import load_config
from looplib.errors import ConfigError
from recsys.config import SearchConfig


def load(*settings: str) -> SearchConfig:
    return load_config(SearchConfig, None, ["store=s", "run=r", *settings])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "split.kind=files",
            "kind: files needs train, and takes test too; other kinds take neither",
        ),
        ("validation.select=coverage@30", "one of ndcg, .*, hit_time and"),
        ("validation.select=ndcg@20", "k one of 10, 30"),
        ("features={year: number}", "features are columns of a catalogue"),
        ("features={artist: category}", "features: artist is always used"),
        ("search.minutes=0", "search.minutes: Input should be greater"),
    ],
)
def test_settings_that_mean_nothing_together_are_refused(
    setting: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(setting)


def test_a_split_by_files_takes_one_name_or_several(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(
        "store: s\nrun: r\nsplit: {kind: files, train: [a.csv, b.csv], test: c.csv}\n"
    )
    split = load_config(SearchConfig, file).split
    assert (split.train, split.test) == (("a.csv", "b.csv"), ("c.csv",))


def test_a_model_has_an_axis_of_each_hyperparameter() -> None:
    """A list, a value, or its default; without any setting ALS is tried alone."""
    settings = ["models.als.alpha=[1, 10]", "models.als.nu=1", "models.blend={}"]
    models = load(*settings).models
    als = models["als"]
    assert (als["factors"], als["alpha"], als["nu"]) == ((64,), (1.0, 10.0), (1.0,))
    assert set(models) == {"als", "blend"}
    settings = ["models.als={}", "models.item_knn={}", "models.als=null"]
    assert set(load(*settings).models) == {"item_knn"}
    assert set(load().models) == {"als"}
