"""The run folder: written by one search at a time."""

from pathlib import Path

import pytest

from recsys.errors import SearchError, StorageError
from recsys.run import locked_run, read_run
from recsys.storage import open_workspace


def test_what_an_earlier_search_left_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked_run(open_workspace(folder)):
        for name in (
            "ledger.jsonl",
            "winner.json",
            "leaderboard.parquet",
            ".tmp-half",
            "checkpoints/.tmp-half",
        ):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("x")
    with locked_run(open_workspace(folder)):
        assert {file.name for file in folder.iterdir()} == {
            ".lock",
            "ledger.jsonl",
            "winner.json",
            "leaderboard.parquet",
            "checkpoints",
        }
        assert list((folder / "checkpoints").iterdir()) == []
    (folder / "winner.json").unlink()
    with pytest.raises(SearchError, match="no finished run here"):
        read_run(open_workspace(folder))


def test_a_file_or_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photo.jpg").write_text("x")
    for name, message in (
        ("file", "this is a file"),
        ("photos", "not empty and not a run"),
    ):
        with (
            pytest.raises((SearchError, StorageError), match=message),
            locked_run(open_workspace(tmp_path / name)),
        ):
            pass
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["photo.jpg"]
