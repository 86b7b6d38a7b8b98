from pathlib import Path
from typing import Literal

import pytest

from looplib.config import Config, load_config
from looplib.errors import ConfigError
from sim.worlds.config import WorldConfig


class Inner(Config):
    iterations: int = 15
    score_every: int = 5


class Space(Config):
    factors: tuple[int, ...] = (64,)


class Outer(Config):
    seed: int = 1
    kind: Literal["grid", "random"] = "grid"
    search: Inner = Inner()
    spaces: tuple[Space, ...] = ()
    maybe: Inner | None = None
    share: float = 0.5


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_values_come_from_defaults_then_the_file_then_overrides(tmp_path: Path) -> None:
    file = write(tmp_path, "seed: 2\nsearch: {iterations: 7}\n")
    overrides = ["search.iterations=9", "search.iterations=10"]
    overrides += ["spaces=[{factors: [8, 16]}]", "maybe.iterations=3"]
    assert load_config(Outer, file, overrides) == Outer(
        seed=2,
        search=Inner(iterations=10),
        spaces=(Space(factors=(8, 16)),),
        maybe=Inner(iterations=3),
    )
    assert load_config(Outer, write(tmp_path, "")) == Outer()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sede: 1", "sede: unknown key; the nearest known key is seed"),
        (
            "search: {iteration: 1}",
            "search.iteration: unknown key; the nearest known key is iterations",
        ),
        (
            "spaces: [{factor: [1]}]",
            "spaces.0.factor: unknown key; the nearest known key is factors",
        ),
        ("seed: many", "seed: Input should be a valid integer"),
        ("kind: grids", "kind: Input should be 'grid' or 'random' (found 'grids')"),
        ("share: .nan", "share: Input should be a finite number"),
        ("- 1", "a mapping of keys is expected, found list"),
        ("a: [", "not YAML"),
        ("seed: 2020-13-01", "not YAML (month must be in 1..12)"),
        ("seed: 1\nseed: 2", "not YAML (seed is there twice; leave one out)"),
        ("seed: " + "[" * 9999, "not YAML"),
        ("a: b: c", "not YAML (line 1: mapping values are not allowed here)"),
        ("#" * 2**18 + "#", "262145 bytes found, at most 262144 are read"),
    ],
)
def test_an_unknown_key_or_a_value_that_is_not_allowed_is_named(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(Outer, write(tmp_path, text))
    assert message in str(refused.value)
    assert str(tmp_path / "config.yaml") in str(refused.value)


def test_the_first_of_many_unknown_keys_are_named(tmp_path: Path) -> None:
    keys = "".join(f"k{number}: 1\n" for number in range(9999))
    with pytest.raises(ConfigError) as refused:
        load_config(Outer, write(tmp_path, keys))
    assert str(refused.value).count("unknown key") == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "expected key=value"),
        ("seed=[", "the value is not YAML"),
        ("seed.deeper=1", "seed is a value, not a section"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(Outer, write(tmp_path, "seed: 1"), [override])
    assert message in str(refused.value)


def test_options_win_over_all_and_a_missing_file_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, "seed: 1")
    options = {"seed": 3, "search.iterations": None}
    assert load_config(Outer, file, ["seed=2"], options) == Outer(seed=3)
    with pytest.raises(ConfigError, match=r"search\.iterations: Input should be a"):
        load_config(Outer, file, (), {"search.iterations": "many"})
    file.unlink()
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read \(No such"):
        load_config(Outer, file)


def test_a_configuration_of_the_package_is_read_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = Path("configs/world/demo.yaml")
    assert load_config(WorldConfig, shipped).tracks == 5000
    shipped.parent.mkdir(parents=True)
    shipped.write_text("{}")
    with pytest.raises(ConfigError, match="seed: Field required"):
        load_config(WorldConfig, shipped)
    with pytest.raises(ConfigError, match=r"configs/none\.yaml: cannot be read"):
        load_config(WorldConfig, Path("configs/none.yaml"))
