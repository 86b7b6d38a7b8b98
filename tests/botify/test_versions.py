from collections.abc import Callable
from pathlib import Path

import pytest

from botify import limits
from botify.errors import ModelError
from botify.versions import Versions
from tests.botify.conftest import MakeService
from tests.botify.exports import point_to, publish
from tests.waiting import wait_until

Publish = Callable[[str, int], Path]


@pytest.fixture
def publish_next(tmp_path: Path) -> Publish:
    """Publish a version with a list of its own, made on a day; returns its file of lists."""

    def publish_(name: str, day: int) -> Path:
        catalogue = tmp_path / "tracks.json"
        folder = publish(tmp_path, name, {0: [day]}, catalogue=catalogue, day=day)
        return folder / "recommendations.jsonl"

    return publish_


@pytest.fixture
def versions(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> Versions:
    monkeypatch.setattr(limits, "WATCH_S", 1e6)
    return make_service().versions


def test_reload_serves_the_version_that_current_points_to(
    versions: Versions, publish_next: Publish, tmp_path: Path
) -> None:
    assert versions.reload().version == "one"
    publish_next("two", 7)
    assert versions.model.version == "one"
    assert versions.reload().version == "two"
    assert versions.model.recommendations.list_of(0) == [7]
    point_to(tmp_path, "one")
    assert versions.reload().version == "one"


def test_a_refused_version_leaves_the_old_one_and_says_why(
    versions: Versions, publish_next: Publish, tmp_path: Path
) -> None:
    publish_next("two", 1).write_bytes(b'{"user":0,"tracks":[8]}\n')
    with pytest.raises(ModelError, match="sha256"):
        versions.reload()
    assert versions.model.version == "one"
    expected = "versions/two/recommendations.jsonl: sha256"
    assert str(versions.refused).startswith(expected)
    assert versions.reload().version == "one", "it is not tried again"
    point_to(tmp_path, "one")
    assert versions.reload().version == "one"
    assert versions.refused is None


def test_the_watcher_serves_a_new_version_and_survives_any_error(
    make_service: MakeService,
    publish_next: Publish,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WATCH_S", 0.05)
    versions = make_service().versions
    link = tmp_path / "current"
    link.unlink()
    link.symlink_to("current")
    with pytest.raises(ModelError, match="current"):
        versions.reload()
    assert "current" in str(versions.refused)
    link.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("botify.versions.read_track_lists", lambda *_, **__: 1 // 0)
        publish_next("two", 1)
        wait_until(lambda: "ZeroDivisionError" in str(versions.refused), "the reason")
    assert versions.model.version == "one"
    publish_next("three", 2)
    wait_until(lambda: versions.model.version == "three", "the version")
    # the reason goes after the version is served
    wait_until(lambda: versions.refused is None, "no reason")
