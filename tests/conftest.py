"""Shared by all tests: nobody may touch a global random generator."""

import random
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _no_global_randomness(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test whose code draws from a global generator: results must follow from (seed, purpose, id) alone."""
    if "hypothesis" in request.keywords or getattr(request.function, "is_hypothesis_test", False):
        yield  # Hypothesis itself seeds and restores the global generators around every example
        return
    before = _states()
    yield
    if _states() != before:
        pytest.fail("a global random generator was used; take a numpy.random.Generator made from the seed")


def _states() -> tuple[object, object]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  looked at, not used
    return random.getstate(), repr(legacy)
