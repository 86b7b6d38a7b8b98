"""What a search's configuration refuses, and how it says so."""

from pathlib import Path

import pytest

from looplib.config import load_config
from looplib.errors import ConfigError
from recsys.config import SearchConfig

PLACES = ["store=s", "run=r"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["split.kind=files"],
            "kind: files needs train, and takes test too; other kinds take neither",
        ),
        (
            ["split.kind=files", "split.test=a.csv"],
            "kind: files needs train, and takes test too; other kinds take neither",
        ),
        (
            ["split.train=a.csv", "split.test=b.csv"],
            "kind: files needs train, and takes test too; other kinds take neither",
        ),
        (["validation.select=coverage@30"], "one of ndcg, .*, novelty, ope_time"),
        (["search.space.nu=[0.5, 0.5]"], "a value stands twice in"),
        (["search.space.unobserved_weight=[0]"], "greater than 0"),
    ],
)
def test_settings_that_mean_nothing_together_are_refused(
    settings: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(SearchConfig, None, [*PLACES, *settings])


def test_a_split_by_files_takes_one_name_or_several(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(
        "store: s\nrun: r\nsplit: {kind: files, train: [a.csv, b.csv], test: c.csv}\n"
    )
    split = load_config(SearchConfig, file).split
    assert (split.train, split.test) == (("a.csv", "b.csv"), ("c.csv",))


def test_every_knob_of_the_model_is_an_axis() -> None:
    axes = {
        "cg_steps": [3, 30],
        "unobserved_weight": [0.1, 1],
        "nu": [0, 1],
        "regularization": [0.003],
    }
    settings = [f"search.space.{name}={values}" for name, values in axes.items()]
    space = load_config(SearchConfig, None, [*PLACES, *settings]).search.space
    assert {name: list(getattr(space, name)) for name in axes} == axes


def test_a_path_or_an_address_stays_what_it_is() -> None:
    config = SearchConfig(store=Path("here/store"), run="s3://music/run")
    assert (config.store, config.run) == ("here/store", "s3://music/run")
