import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from botify.errors import ModelError
from botify.metrics import Metrics
from botify.model.model import ServedModel
from botify.model.versions import Versions
from botify.service import load_configured
from botify.settings import ServiceSettings
from tests.botify.exports import (
    edit_manifest,
    point_to,
    publish,
)
from tests.waiting import wait_until


@pytest.fixture
def versions(settings: ServiceSettings) -> Versions:
    return _versions(settings)


def _versions(
    settings: ServiceSettings, on_load: Callable[[ServedModel], None] = lambda _: None
) -> Versions:
    return Versions(
        settings.recommendations,
        load_configured(settings),
        settings.artifacts,
        Metrics(),
        watch_s=0.05,
        on_load=on_load,
    )


def test_reload_serves_the_version_that_current_points_to(
    versions: Versions, tmp_path: Path
) -> None:
    assert versions.reload().version == "one"
    publish(tmp_path, "two", {0: [7]}, catalogue=tmp_path / "tracks.json", day=1)
    assert versions.model.version == "one"
    assert versions.reload().version == "two"
    assert versions.model.recommendations.list_of(0) == [7]


def test_a_refused_version_leaves_the_old_one_and_says_why(
    versions: Versions, tmp_path: Path
) -> None:
    folder = publish(
        tmp_path, "two", {0: [7]}, catalogue=tmp_path / "tracks.json", day=1
    )
    (folder / "recommendations.jsonl").write_bytes(b'{"user":0,"tracks":[8]}\n')
    with pytest.raises(ModelError, match="sha256"):
        versions.reload()
    assert versions.model.version == "one"
    assert versions.refused is not None
    assert versions.refused.startswith("versions/two/recommendations.jsonl: sha256")
    point_to(tmp_path, "one")
    assert versions.reload().version == "one"
    assert versions.refused is None


def test_the_watcher_picks_up_a_new_version_and_survives_a_bad_one(
    versions: Versions, tmp_path: Path
) -> None:
    catalogue = tmp_path / "tracks.json"
    versions.watch()
    try:
        bad = publish(tmp_path, "bad", {0: [7]}, catalogue=catalogue, day=1)
        (bad / "recommendations.jsonl").write_bytes(b"")
        wait_until(lambda: versions.refused is not None, "the reason")
        assert versions.model.version == "one"
        publish(tmp_path, "good", {0: [7]}, catalogue=catalogue, day=2)
        wait_until(lambda: versions.model.version == "good", "the version")
        # which is said after the version is served
        wait_until(lambda: versions.refused is None, "no reason")
    finally:
        versions.close()


def test_rollback_goes_to_the_version_before_and_moves_the_link(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    loaded: list[ServedModel] = []
    versions = _versions(settings, loaded.append)
    for day, name in enumerate(("two", "three"), start=1):
        publish(tmp_path, name, {0: [day]}, catalogue=tmp_path / "tracks.json", day=day)
    versions.reload()
    assert versions.roll_back().version == "two"
    assert (tmp_path / "current").resolve().name == "two"
    assert versions.reload().version == "two"
    assert versions.roll_back().version == "one"
    with pytest.raises(ModelError, match="no version earlier than one"):
        versions.roll_back()
    assert [model.version for model in loaded] == ["three", "two", "one"]


def test_rollback_to_a_bad_version_is_refused(
    versions: Versions, tmp_path: Path
) -> None:
    publish(tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1)
    versions.reload()
    (tmp_path / "versions" / "one" / "recommendations.jsonl").write_bytes(b"")
    with pytest.raises(ModelError, match="bytes found"):
        versions.roll_back()
    assert versions.model.version == "two"
    assert (tmp_path / "current").resolve().name == "two"


def test_a_version_without_a_link_can_be_served_but_not_rolled_back(
    tmp_path: Path, settings: ServiceSettings
) -> None:
    shutil.copytree(tmp_path / "versions" / "one", tmp_path / "versions" / "zero")
    edit_manifest(
        tmp_path / "versions" / "zero", created_at="2020-01-01T00:00:00Z", model="zero"
    )
    file = tmp_path / "versions" / "one" / "recommendations.jsonl"
    fixed = settings.model_copy(update={"recommendations": file})
    versions = _versions(fixed)
    with pytest.raises(ModelError, match="no link to a version"):
        versions.roll_back()


def test_the_watcher_survives_links_in_a_circle_and_any_error(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.watch()
    link = tmp_path / "current"
    link.unlink()
    link.symlink_to("current")
    with pytest.raises(ModelError, match="current"):
        versions.reload()
    assert "current" in str(versions.refused)
    link.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("botify.model.versions.load_model", lambda *_, **__: 1 // 0)
        publish(tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1)
        wait_until(lambda: "ZeroDivisionError" in str(versions.refused), "the reason")
    publish(tmp_path, "three", {0: [1]}, catalogue=tmp_path / "tracks.json", day=2)
    wait_until(lambda: versions.model.version == "three", "the version")
