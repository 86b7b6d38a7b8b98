from pathlib import Path

import pytest

from botify.settings import ServiceSettings
from tests.botify.exports import edit_manifest, read_manifest
from tests.botify.model.conftest import Damage, refusal


def manifest(**changes: object) -> Damage:
    return lambda version: edit_manifest(version, **changes)


def link_outside(name: str) -> Damage:
    def replace(version: Path) -> None:
        outside = version.parent.parent / name
        (version / name).replace(outside)
        (version / name).symlink_to(outside)

    return replace


def claim_no_bytes(version: Path) -> None:
    files = read_manifest(version)["files"]
    files["recommendations.jsonl"]["bytes"] = -1
    edit_manifest(version, files=files)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (manifest(schema=2), "manifest.json: format 2 is of a newer version"),
        (manifest(schema=0), "format 0 is of 0.4 or earlier, not read"),
        (manifest(schema="1"), "manifest.json: Expected `int`, got `str`"),
        (manifest(files={}), "not in the manifest"),
        (manifest(created_at="yesterday"), "created_at"),
        (
            manifest(data={"catalogue": {"sha256": "0" * 64, "tracks": 5}}),
            "trained on another catalogue, of 5 tracks",
        ),
        (manifest(padding="x" * 2**20), "bytes found, at most 1048576 are read"),
        (
            manifest(files={"../../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}),
            "not in the manifest",
        ),
        (lambda version: (version / "manifest.json").write_text("{"), "manifest.json:"),
        (
            lambda version: (version / "manifest.json").unlink(),
            "manifest.json: cannot be read",
        ),
        (claim_no_bytes, "bytes"),
        (link_outside("factors.npz"), "factors.npz: a link that leads out of"),
        (link_outside("recommendations.jsonl"), "a link that leads out of"),
    ],
)
def test_a_wrong_manifest_or_link_is_refused_with_the_reason(
    settings: ServiceSettings, version: Path, damage: Damage, message: str
) -> None:
    damage(version)
    assert message in refusal(settings)


@pytest.mark.parametrize("name", ["recommendations.jsonl", "factors.npz"])
def test_a_changed_file_is_refused(
    settings: ServiceSettings, version: Path, name: str
) -> None:
    file = version / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"{name}: sha256 " in refusal(settings)
