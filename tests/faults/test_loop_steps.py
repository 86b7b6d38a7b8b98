"""The loop, cut off before and after each of its steps, for which others stand in."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from listening_loop import loop
from listening_loop.config import LoopConfig

DAYS, EPISODES = 2, 10
STEPS = 10  # of both days


class KilledError(BaseException):
    """Ends the loop where it is; nothing is tidied up after it."""


class StandIn:
    """Runs steps without their commands; a cut falls beside one, or amid its traffic."""

    def __init__(self, published: Path, cut_at: float = float("inf")) -> None:
        self.published, self.count = published, 0
        self._cut_at = cut_at
        self._log: Path | None = None  # of the service that runs

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
        if "--summary" in options:
            self._listen(Path(options["--summary"]), options["--seed"])
        elif name == "ingest":
            logs = [Path(word) for word in words[: words.index("--store")]]
            self._write(
                Path(options["--store"], "events"),
                "".join(self._text_of(log) for log in logs),
            )
        elif name == "search":
            events = Path(options["--store"], "events").read_text()
            self._write(Path(options["--run"], "winner.json"), events)
            self._write(Path(options["--out"], "lists"), events)
        elif name == "ab":
            report = {
                "recommenders": {"C": "random", "T1": "indexed"},
                "log": self._text_of(Path(words[0])),
            }
            self._write(
                Path(options["--out"], "report.json"), orjson.dumps(report).decode()
            )
        else:
            self._write(
                Path(options.get("--log") or options["--out"], "events"), f"{name}\n"
            )
        self._cut(self.count)

    @contextmanager
    def serving(self, words: list[str], port: int) -> Iterator[None]:
        del port
        (log,) = (
            word.removeprefix("--set=log_dir=") for word in words if "log_dir=" in word
        )
        self._log = Path(log)
        yield

    def _listen(self, summary: Path, seed: str) -> None:
        assert self._log is not None
        for session in range(EPISODES):
            if session == EPISODES // 2:
                self._cut(self.count - 0.25)
            self._write(
                self._log / f"events-{session}",
                f"{seed}/{session} hears {self._lists()}",
            )
        self._write(summary, f"{EPISODES} sessions")

    def _lists(self) -> int:
        return len((self.published / "lists").read_text())

    def _cut(self, moment: float) -> None:
        if moment == self._cut_at:
            raise KilledError

    @staticmethod
    def _text_of(log: Path) -> str:
        return "".join(file.read_text() for file in sorted(log.glob("events*")))

    @staticmethod
    def _write(file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def make_config(folder: Path) -> LoopConfig:
    names = ("world", "collect", "search", "service", "report")
    files = {name: folder / f"{name}.yaml" for name in names}
    traffic = {"episodes": EPISODES}
    return LoopConfig.model_validate(
        {"folder": folder / "loop", "experiment": "E", "traffic": traffic} | files
    )


def run_loop(config: LoopConfig, **how: Any) -> int:  # noqa: ANN401  as StandIn has it
    """Run both days; returns how many steps were run."""
    stand_in = StandIn(config.folder / "published", **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "run_step", stand_in.run_step)
        patch.setattr(loop, "serving", stand_in.serving)
        loop.begin(config)
        for number in range(1, DAYS + 1):
            loop.run_day(config, number, config.folder / "days" / str(number))
    return stand_in.count


def content(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    config = make_config(tmp_path_factory.mktemp("undisturbed"))
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
        run_loop(config, cut_at=moment)
    run_loop(config)
    assert content(config.folder) == undisturbed
