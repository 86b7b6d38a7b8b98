"""A step: a command that is printed before it runs."""

import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from looplib.progress import console


@dataclass(frozen=True)
class Step:
    """A command of the loop.

    Attributes:
        title: What it does, for people.
        module: The module that is run, such as "recsys.ingest".
        arguments: Its arguments.
        done: A file that is there when the step is done, whole or not at all; None: always run it.
        environment: Variables beside those of this process.
    """

    title: str
    module: str
    arguments: Sequence[str | Path]
    done: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> list[str]:
        """The command."""
        return [sys.executable, "-m", self.module, *map(str, self.arguments)]

    @property
    def line(self) -> str:
        """The command as a person would type it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, "python", "-m", self.module, shlex.join(map(str, self.arguments))])


def announce(step: Step) -> None:
    """Prints a step's title and command."""
    console.print(f"\n[bold]{step.title}[/]\n[dim]$ {step.line}[/]", soft_wrap=True, highlight=False)


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
