"""Recommenders of other packages, by the example of CONTRIBUTING.md."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botify.errors import BotifyError
from botify.recommenders.registry import load_recommenders
from tests.botify.client import client_of, post
from tests.botify.conftest import MakeService
from tests.botify.exports import experiments_of

CONTRIBUTING = Path("CONTRIBUTING.md").read_text(encoding="utf-8")
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package with the example's entry point into the path."""
    (point,) = re.findall(r"```toml\n.*?\n(.*?)```", CONTRIBUTING, re.DOTALL)
    group = re.findall(r"entry-points\.\"(.*?)\"", CONTRIBUTING)[0]
    name, target = point.replace('"', "").split(" = ")

    def install_code(code: str) -> None:
        (tmp_path / f"{target.split(':')[0]}.py").write_text(code)
        folder = tmp_path / "other-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\n")
        entry = f"[{group}]\n{name} = {target}\n"
        (folder / "entry_points.txt").write_text(entry)
        monkeypatch.delitem(sys.modules, target.split(":")[0], raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        load_recommenders.cache_clear()

    yield install_code
    monkeypatch.undo()
    load_recommenders.cache_clear()


def test_the_example_ranks_answers_and_is_logged(
    install: Install, make_service: MakeService
) -> None:
    (example,) = re.findall(r"```py\n(.*?)```", CONTRIBUTING, re.DOTALL)
    assert len(example.splitlines()) <= 10
    install(example)
    client = client_of(make_service(experiments=experiments_of("last")))
    assert post(client, "/next/1", {"track": 39, "time": 1})["track"] == 38
    asked = {"user": 1, "candidates": [3, 9, 5], "recommender": "last"}
    assert post(client, "/rank", asked)["tracks"] == [9, 5, 3]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module", "cannot be loaded .No module"),
        ("last = 3", "a Recommender .* found int"),
    ],
)
def test_what_is_no_recommender_is_one_line(
    install: Install, code: str, message: str
) -> None:
    install(code)
    with pytest.raises(BotifyError, match=f"my_package:last: {message}"):
        load_recommenders()
