"""The examples in docstrings run as they stand there."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import listening_loop as ll
from looplib import als

ROOT = Path(__file__).parents[1]
PACKAGES = ("looplib", "analysis", "recsys", "botify", "sim", "listening_loop")
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]
PUBLIC = {name: getattr(ll, name) for name in ll.__all__}
PUBLIC |= {
    name: value
    for name, value in vars(als).items()
    if getattr(value, "__module__", "") == als.__name__
}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - {"serve"}))
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (PUBLIC[name].__doc__ or "")
