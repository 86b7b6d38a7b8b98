import pytest

from botify import limits


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a Redis on a busy machine."""
    monkeypatch.setattr(limits, "REDIS_S", 60.0)
