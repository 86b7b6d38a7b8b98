"""An address is a folder of this machine; a missing upload shows, whatever the address."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from recsys.errors import StorageError
from recsys.storage import OBJECTS, Workspace, open_workspace


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "here"))


@pytest.fixture
def there() -> Workspace:
    return open_workspace(f"memory://{uuid4().hex}")


@pytest.fixture(params=["path", "memory"])
def here(request: pytest.FixtureRequest, tmp_path: Path, there: Workspace) -> Workspace:
    return open_workspace(tmp_path / "folder") if request.param == "path" else there


@pytest.fixture
def elsewhere(here: Workspace, tmp_path: Path) -> Callable[[], Workspace]:
    """Open the workspace as another machine would: an address, with another scratch folder."""

    def open_elsewhere() -> Workspace:
        if not here.is_remote:
            return open_workspace(here.address)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / uuid4().hex))
            return open_workspace(here.address)

    return open_elsewhere


def write(there: Workspace, name: str, content: bytes) -> None:
    (there.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (there.folder / name).write_bytes(content)


@pytest.mark.parametrize("address", ["s3://bucket/a/b", "memory://store"])
def test_an_address_has_a_folder_in_the_scratch_and_comes_back_as_it_went_in(
    address: str, tmp_path: Path
) -> None:
    there = open_workspace(address)
    assert (str(there), there.address, there.on_disk) == (address, address, ())
    assert there.sub("c").address == f"{address}/c"
    assert there.folder.is_relative_to(tmp_path / "here")


def test_a_path_is_its_own_folder(tmp_path: Path) -> None:
    there = open_workspace("out/store")
    path = Path("out/store")
    assert (str(there), there.folder, there.on_disk) == ("out/store", path, (path,))
    assert there.address == str(path.absolute())
    assert open_workspace(f"file://{tmp_path}").folder == tmp_path


@pytest.mark.parametrize("address", ["s3://", "s3://bucket/../other"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="not the address of a folder"):
        open_workspace(address)


def test_endpoints_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {open_workspace("s3://bucket/store").folder}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    folders.add(open_workspace("s3://bucket/store").folder)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": "http://other"})
    folders.add(open_workspace("s3://bucket/store").folder)
    assert len(folders) == 3


def test_the_same_steps_do_the_same_at_a_path_and_at_an_address(
    here: Workspace, elsewhere: Callable[[], Workspace]
) -> None:
    assert here.names() == set()
    assert here.read("a") is None
    write(here, "a", b"one")
    write(here, "b/c", b"three")
    here.upload("a", "b/c")
    here.evict("a")
    assert elsewhere().read("a") == b"one"
    assert elsewhere().files() == {"a", "b/c"}
    assert elsewhere().names() == {"a", "b"}
    write(here, "a", b"then")
    here.upload("a")
    assert elsewhere().read("a") == b"then"
    assert elsewhere().cached("b/c").read_bytes() == b"three"
    here.delete("a", "never")
    assert elsewhere().files() == {"b/c"}
    here.delete()
    here.delete("b", "never")
    assert here.files() == set()


def test_what_is_not_uploaded_is_nowhere_else(there: Workspace) -> None:
    write(there, "f", b"first")
    there.upload("f")
    write(there, "f", b"never uploaded")
    assert there.read("f") == b"first"
    there.delete("f")
    write(there, "f", b"never uploaded")
    assert there.read("f") is None
    there.download("f")
    assert not (there.folder / "f").exists()


def test_a_file_that_never_changes_is_downloaded_once_and_checked(
    there: Workspace,
) -> None:
    write(there, "f", b"first")
    there.upload("f")
    there.evict("f")
    with pytest.raises(
        StorageError, match="sha256 000 was uploaded, and a7937b64b8ca came"
    ):
        there.cached("f", "000")
    assert not (there.folder / "f").exists()
    assert there.cached("f").read_bytes() == b"first"
    write(there, "f", b"here")
    assert there.cached("f").read_bytes() == b"here"
    with pytest.raises(StorageError, match="was uploaded, and now it is missing"):
        there.cached("g", "000")


def upload_some(there: Workspace) -> None:
    write(there, "d/x", b"one")
    write(there, "d/y/z", b"two")
    there.sub("d").upload_all()


def test_a_folder_comes_whole_and_anew_when_it_changes(
    here: Workspace, elsewhere: Callable[[], Workspace]
) -> None:
    assert not here.sub("d").download_all()
    upload_some(here)
    other = elsewhere().sub("d")
    assert other.download_all()
    assert (other.folder / "y/z").read_bytes() == b"two"
    write(here, "d/x", b"other")
    here.sub("d").upload_all()
    assert other.download_all()
    assert (other.folder / "x").read_bytes() == b"other"


def test_a_folder_whose_upload_was_interrupted_is_invisible(
    there: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload = Workspace._upload

    def interrupted(workspace: Workspace, name: str) -> None:
        if name == OBJECTS:
            raise StorageError("lost")
        upload(workspace, name)

    monkeypatch.setattr(Workspace, "_upload", interrupted)
    with pytest.raises(StorageError, match="lost"):
        upload_some(there)
    assert there.files() == {"d/x", "d/y/z"}
    assert not there.sub("d").download_all()
    assert not there.sub("d").folder.exists()


@pytest.mark.parametrize(
    ("content", "said"), [(b"onf", "was uploaded, and"), (None, "now it is missing")]
)
def test_a_folder_with_a_damaged_or_lost_file_is_an_error(
    there: Workspace, content: bytes | None, said: str
) -> None:
    upload_some(there)
    (there.folder / "d" / OBJECTS).unlink()
    there.delete("d/x")
    if content:
        write(there, "d/x", content)
        there.upload("d/x")
    with pytest.raises(StorageError, match=said):
        there.sub("d").download_all()


def test_processes_of_a_machine_download_a_folder_once(
    there: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload_some(there)
    (there.folder / "d" / OBJECTS).unlink()
    downloaded: list[str] = []
    download = Workspace._download

    def counted(workspace: Workspace, name: str, sha256: str = "") -> None:
        downloaded.append(name)
        download(workspace, name, sha256)

    monkeypatch.setattr(Workspace, "_download", counted)
    threads = [threading.Thread(target=there.sub("d").download_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name in downloaded if name != OBJECTS) == ["x", "y/z"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gs://bucket/store", "install gcsfs"),
        ("s3://bucket/store", r"Install s3fs .* after pip install s3fs"),
        ("nowhere://bucket/store", r"not known: nowhere .* such as s3://bucket/folder"),
    ],
)
def test_a_scheme_without_its_package_is_one_line(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gcsfs", "s3fs"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(StorageError, match=said):
        open_workspace(address).names()
