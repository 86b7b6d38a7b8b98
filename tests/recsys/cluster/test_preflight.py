"""What is checked before a call runs on a worker: its software, and the paths that it sees."""

import os
from pathlib import Path
from typing import Any

import pytest

from recsys.cluster.preflight import call_after_check, find_difference, probe_files
from recsys.errors import UnseenPathError

HERE = {
    "python": "3.11.2.final.0",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "listening-loop": "0.1.0",
}


def versions(scheduler: dict[str, Any], worker: dict[str, Any]) -> dict[str, Any]:
    """As `distributed.Client.get_versions` returns them; what is given differs from here."""
    return {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE | scheduler},
        "workers": {
            "tcp://a:1": {"packages": HERE},
            "tcp://b:2": {"packages": HERE | worker},
        },
    }


@pytest.mark.parametrize(
    "harmless", [{}, {"python": "3.11.9.final.0"}, {"numpy": "1.0"}]
)
def test_what_unpickles_the_same_is_no_difference(harmless: dict[str, Any]) -> None:
    assert find_difference(versions(harmless, harmless)) is None


def test_a_difference_names_the_process_and_both_versions() -> None:
    assert find_difference(versions({"dask": "2025.1.0"}, {})) == (
        "the scheduler has dask 2025.1.0, and the search dask 2026.8.0"
    )
    assert find_difference(versions({}, {"listening-loop": None})) == (
        "the worker tcp://b:2 has no listening-loop, and the search listening-loop 0.1.0"
    )
    assert find_difference(versions({}, {"python": "3.12.1.final.0"})) == (
        "the worker tcp://b:2 has python 3.12, and the search python 3.11"
    )


def test_probe_files_are_there_for_the_block_alone(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.touch()
    with probe_files([manifest], [tmp_path]) as paths:
        assert paths[0] == manifest
        assert call_after_check(paths, max, 1, 2) == 2
    assert list(tmp_path.iterdir()) == [manifest]


def test_a_missing_file_and_a_missing_probe_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UnseenPathError,
        match=rf"manifest\.json: the worker on .* \(process {os.getpid()}\)",
    ):
        call_after_check([tmp_path / "manifest.json"], max, 1, 2)
    # the folder is there, and another
    with pytest.raises(UnseenPathError, match=rf"^{tmp_path}: the worker"):
        call_after_check([tmp_path / ".tmp-seen-1"], max, 1, 2)


def test_a_file_that_is_missing_during_the_call_is_named_and_other_errors_pass(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnseenPathError, match=f"^{tmp_path / 'part'}: the worker"):
        call_after_check([tmp_path], Path.read_bytes, tmp_path / "part")
    with pytest.raises(ZeroDivisionError):
        call_after_check([tmp_path], divmod, 1, 0)
