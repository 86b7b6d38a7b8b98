"""The command of a search, as tests call it, and what it refuses."""

from collections.abc import Iterable
from pathlib import Path

import pytest


def search_argv(
    store: Path, run_folder: Path, settings: Iterable[str], *extra: str
) -> list[str]:
    """Write an empty configuration beside a run folder; return the words of its search."""
    config = run_folder.parent / "search.yaml"
    config.write_text("store: nowhere\nrun: nowhere\n")
    paths = ["--config", str(config), "--store", str(store), "--run", str(run_folder)]
    sets = [word for setting in settings for word in ("--set", setting)]
    return [*paths, *sets, *extra]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr that says what is wrong."""
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if "error:" in line]
    return line
