"""A worker looks for what it needs before it works."""

import os
from pathlib import Path

import pytest

from recsys.cluster.preflight import call_where_seen, witnesses
from recsys.errors import UnseenPathError


def test_witnesses_are_there_for_the_block_alone(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.touch()
    with witnesses([manifest], [tmp_path]) as paths:
        assert paths[0] == manifest
        assert call_where_seen(paths, max, 1, 2) == 2
    assert list(tmp_path.iterdir()) == [manifest]


def test_a_missing_file_and_a_missing_witness_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnseenPathError, match=rf"manifest\.json: the worker on .* \(process {os.getpid()}\)"):
        call_where_seen([tmp_path / "manifest.json"], max, 1, 2)
    with pytest.raises(UnseenPathError, match=rf"^{tmp_path}: the worker"):  # the folder is there, and another
        call_where_seen([tmp_path / ".tmp-seen-1"], max, 1, 2)


def test_a_file_that_is_missing_in_the_middle_is_named_and_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(UnseenPathError, match=f"^{tmp_path / 'part'}: the worker"):
        call_where_seen([tmp_path], Path.read_bytes, tmp_path / "part")
    with pytest.raises(ZeroDivisionError):
        call_where_seen([tmp_path], divmod, 1, 0)
