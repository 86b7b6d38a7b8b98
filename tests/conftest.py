"""Shared by all tests: their order, commands, and that none draws from a global generator."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from listening_loop.command import main
from recsys.store import writer

# Timings decide no test.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")
Run = Callable[..., str]  # takes the words of a command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files of slow tests.

    Xdist's `loadfile` keeps a file's tests, which share fixtures, together.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_configure() -> None:
    """Heed Ctrl-C, which a run in the background and its children ignore.

    Stores of tests are small: each partition costs queries, however few rows it has.
    """
    writer.DEFAULT_PARTITIONS = 2
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run two processes more than there are cores, at most four: many tests wait for programs."""
    return min(4, (os.cpu_count() or 1) + 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests of a file share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `listening-loop` to its good end; return its output."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `listening-loop`, which refuses the words; return its line of error."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 2
        lines = capsys.readouterr().err.splitlines()
        (line,) = [line for line in lines if "error:" in line]
        return line

    return run


@pytest.fixture(autouse=True)
def _no_global_randomness(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose code draws from NumPy's global generator.

    Results must follow from (seed, purpose, id) alone.
    """
    if "hypothesis" in request.keywords or getattr(
        request.function, "is_hypothesis_test", False
    ):
        yield  # Hypothesis itself seeds and restores the global generators around every example
        return
    before = _numpy_state()
    yield
    if _numpy_state() != before:
        pytest.fail(
            "a global random generator was used; take a numpy.random.Generator made from the seed"
        )


def _numpy_state() -> tuple[bytes, int]:
    """Return the state of NumPy's global generator.

    The linter bans Python's own generator, which Dask's threads draw from.
    """
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  looked at, not used
    return legacy["state"]["key"].tobytes(), legacy["state"]["pos"]
