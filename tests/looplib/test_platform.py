import os
from pathlib import Path

import pytest

from looplib import platform
from looplib.errors import UserError

LINUX_ONLY = ("sched_getaffinity", "posix_fallocate")


@pytest.fixture(params=["linux", "elsewhere"], autouse=True)
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "elsewhere":
        for name in LINUX_ONLY:
            monkeypatch.delattr(os, name)


def test_reserved_space_is_on_the_disk_and_the_content_stays(tmp_path: Path) -> None:
    file, size = tmp_path / "file", 3 * 2**20 + 5
    file.write_bytes(b"head")
    os.truncate(file, size)
    assert file.stat().st_blocks * 512 < size
    with file.open("r+b") as handle:
        platform.reserve_space(handle.fileno(), size)
    assert file.stat().st_blocks * 512 >= size
    assert file.read_bytes() == b"head".ljust(size, b"\0")


def test_the_file_limit_is_the_systems() -> None:
    import resource

    platform.raise_file_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


def test_a_distribution_with_a_folder_of_the_same_name_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "recsys_tools-1.0.dist-info").mkdir()
    platform.check_names(tmp_path)
    (tmp_path / "recsys-0.0.2.dist-info").mkdir()
    with pytest.raises(UserError, match=r"recsys-0\.0\.2 is installed beside"):
        platform.check_names(tmp_path)
