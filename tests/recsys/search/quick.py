"""A small store, and quick searches of it whose calls run in the test's process."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from looplib.cli import run
from recsys.search import __main__ as search
from recsys.search.folder import Winner, read_winner
from recsys.storage import open_workspace
from tests.recsys.commands import error_line, search_argv
from tests.recsys.in_process import without_processes
from tests.recsys.logs import Session, random_sessions

LISTENERS, TRACKS = 60, 90
QUICK = [
    "models.als.factors=[4, 8]",
    "models.als.regularization=[1.0]",
    "models.als.alpha=[1.0, 10.0]",
    "search.iterations=4",
    "search.score_every=2",
    "validation.resamples=100",
    "validation.ks=[5, 30]",
    "validation.test_share=0.3",
    "export.publish_anyway=true",
]


def draw_sessions(seed: int = 5) -> list[Session]:
    """Draw the sessions of the store, or others like them."""
    return random_sessions(seed, listeners=LISTENERS, tracks=TRACKS, sessions=1500)


def search_ok(
    store: Path, run_folder: Path, *extra: str, settings: Sequence[str] = QUICK
) -> None:
    """Search, and export without `--no-export`."""
    argv = search_argv(store, run_folder, settings, *extra)
    with without_processes():
        assert run(search.app, search.PROG, argv) == 0


def winner_of(run_folder: Path) -> Winner:
    """Read the winner of a finished search."""
    return read_winner(open_workspace(run_folder))


def refusal(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """Return the line in which a search is refused."""
    with without_processes():
        assert run(search.app, search.PROG, argv) == 2
    return error_line(capsys)
