"""The loop, cut off before and after each of its steps, for which others stand in."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from listening_loop import loop
from listening_loop.loop import LoopConfig

DAYS, EPISODES = 2, 10
STEPS = 10  # both days together
OUTPUTS = {"--out", "--store", "--run", "--log"}
FILES = {"ab": "report.json"}


class KilledError(BaseException):
    """Ends the loop where it is; nothing is tidied up after it."""


class StandIn:
    """Runs steps without their commands: each writes the text that it reads.

    A cut falls before or after a step, or amid its traffic.
    """

    def __init__(self, cut_at: float) -> None:
        self.count = 0
        self._cut_at = cut_at
        self._served: dict[str, str] = {}  # options of the service that runs

    def run_step(
        self, title: str, command: list[str], done: Path | None = None
    ) -> None:
        del title
        if done is not None and done.exists():
            return
        self.count += 1
        self._cut(self.count - 0.5)
        name, *words = command
        options = dict(pairwise(words))
        if "--url" in options:
            self._listen(options)
        made = [options[key] for key in OUTPUTS & options.keys()]
        text = "".join(read(Path(word)) for word in words if word not in made)
        for folder in made:
            write(Path(folder, FILES.get(name, name)), f"{name}\n{text}")
        self._cut(self.count)

    @contextmanager
    def serving(self, words: list[str], port: int) -> Iterator[None]:
        del port
        self._served = dict(pairwise(words))
        self._served |= dict(word.split("=", 2)[1:] for word in words if "=" in word)
        yield

    def _listen(self, options: dict[str, str]) -> None:
        lists = len(read(Path(self._served["--published"])))
        for session in range(EPISODES):
            if session == EPISODES // 2:
                self._cut(self.count - 0.25)
            log = Path(self._served["log_dir"], f"events-{session}")
            write(log, f"{options['--seed']}/{session} hears {lists}")

    def _cut(self, moment: float) -> None:
        if moment == self._cut_at:
            raise KilledError


def read(folder: Path) -> str:
    """Read all files of a folder."""
    return "".join(content(folder).values())


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def make_config(folder: Path, episodes: int = EPISODES) -> LoopConfig:
    names = ("world", "collect", "search", "service")
    files = {name: folder / f"{name}.yaml" for name in names}
    return LoopConfig.model_validate(
        {"folder": folder / "loop", "episodes": episodes} | files
    )


def run_loop(config: LoopConfig, cut_at: float = float("inf")) -> int:
    """Run both days; returns how many steps were run."""
    stand_in = StandIn(cut_at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "run_step", stand_in.run_step)
        patch.setattr(loop, "serving", stand_in.serving)
        loop.begin(config)
        for number in range(1, DAYS + 1):
            day = config.folder / "days" / str(number)
            loop.run_day(config, number, day, "E")
    return stand_in.count


def content(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, str]:
    config = make_config(folder)
    assert run_loop(config) == STEPS
    return content(config.folder)


# Before and after each step, and amid the traffic of either day.
MOMENTS = [*(half / 2 for half in range(1, 2 * STEPS + 1)), 4.75, 8.75]


@pytest.mark.parametrize("moment", MOMENTS)
def test_cut_at_any_step_the_loop_continues_and_ends_as_an_undisturbed_one(
    undisturbed: dict[str, str], tmp_path: Path, moment: float
) -> None:
    config = make_config(tmp_path)
    with pytest.raises(KilledError):
        run_loop(config, moment)
    run_loop(config)
    assert content(config.folder) == undisturbed
