"""Exported recommendations, and what their manifests say."""

from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.offpolicy.recommendations import read_recommendations


def test_short_lists_are_filled_up_and_users_sorted(tmp_path: Path) -> None:
    file = tmp_path / "a=b.jsonl"
    file.write_text(
        '{"user": 7, "tracks": [1]}\n{"user": 3, "tracks": [2, 5, 4]}\n{"user": 9, "tracks": []}\n'
    )
    found = read_recommendations(str(file))
    assert found.name == "a=b"
    assert found.users.tolist() == [3, 7, 9]
    assert found.tracks.tolist() == [[2, 5, 4], [1, -1, -1], [-1, -1, -1]]
    assert (found.serving, read_recommendations(f"T1={file}").name) == ("random", "T1")
    in_order = read_recommendations(f"{file}:in-order")
    assert (in_order.serving, in_order.name) == ("in-order", "a=b")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"data": 3}', '{"files": {"lists.jsonl": 3}}', '{"model": 3}'],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "lists.jsonl").write_text('{"user": 3, "tracks": [2, 8]}\n')
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(AnalysisError, match=r"manifest\.json"):
        read_recommendations(str(tmp_path / "lists.jsonl"))
