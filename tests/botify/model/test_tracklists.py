from pathlib import Path

import pytest

from botify.service import load_configured
from botify.settings import ServiceSettings
from tests.botify.exports import make_settings, publish, random_lists, update_manifest
from tests.botify.model.conftest import TRACKS, refusal


def test_lists_are_found_by_id_whether_ids_are_dense_sorted_or_not(
    tmp_path: Path, catalogue_file: Path
) -> None:
    lists = {9_000_000_000: [3, 1, 2], 4: [5], 0: [], 77: [2, 3, 59]}
    publish(tmp_path, "one", lists, catalogue=catalogue_file)
    model = load_configured(make_settings(tmp_path, catalogue_file))
    loaded = model.recommendations
    assert {user: loaded.list_of(user) for user in lists} == lists
    assert loaded.list_of(5) == loaded.list_of(9_000_000_001) == []
    assert model.popular == [2, 3, 1, 5, 59], "those in most lists first"


def test_no_object_is_kept_for_a_listener(tmp_path: Path, catalogue_file: Path) -> None:
    publish(tmp_path, "one", random_lists(5000, TRACKS), catalogue=catalogue_file)
    lists = load_configured(make_settings(tmp_path, catalogue_file)).recommendations
    arrays = (lists.ids, lists.starts, lists.ends, lists.tracks)
    assert sum(array.nbytes for array in arrays) == 5000 * (3 * 8 + 30 * 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"user": 3, "tracks": [1, 60]}', "<= 59 - at `$.tracks[1]`"),
        ('{"user": 3, "tracks": ["1"]}', ""),
        ('{"user": 3, "tracks": [1]', ""),
        ("[]", ""),
        ('{"user": -2, "tracks": [1]}', "Expected `int` >= 0 - at `$.user`"),
        ('{"user": 99, "tracks": [1]}, {"user": 98, "tracks": [1]}', ""),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(
    settings: ServiceSettings, version: Path, line: str, message: str
) -> None:
    file = version / "recommendations.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], line, *lines[4:]]) + "\n")
    update_manifest(version, file.name)
    text = refusal(settings)
    assert "recommendations.jsonl:4: " in text
    assert message in text
