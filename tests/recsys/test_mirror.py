"""A mirror is what was given at its address: fetched once, verified, and never half of it; here of a folder."""

import pickle
import threading
from pathlib import Path

import pytest

from recsys import mirror, storage
from recsys.errors import StorageError
from recsys.mirror import fetch, fetch_folder, forget, give, give_folder, prune
from recsys.places import Mirrored, place


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "here"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/there"


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From now on this process is on another machine."""
    monkeypatch.setenv("LISTENING_LOOP_SCRATCH", str(tmp_path / "elsewhere"))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("address", ["s3://bucket/a/b", "file:///data/store", "memory://store"])
def test_an_address_comes_back_as_it_went_in(address: str, tmp_path: Path) -> None:
    path = place(address)
    assert f"{path}" == address
    assert f"{path / 'c.parquet'}" == f"{address}/c.parquet"
    assert str(path).startswith(str(tmp_path / "here"))
    assert type(path.parent / "x") is Mirrored


def test_a_path_is_no_address() -> None:
    assert type(place("out/demo/store")) is type(Path())
    assert place("out/demo/store") == Path("out/demo/store")


@pytest.mark.parametrize("address", ["s3://", "s3://bucket/../other"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="no address of a folder"):
        place(address)


def test_a_path_travels_as_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps({"folder": place("s3://bucket/run") / "checkpoints"})
    elsewhere(monkeypatch, tmp_path)
    folder = pickle.loads(sent)["folder"]  # noqa: S301  our own
    assert f"{folder}" == "s3://bucket/run/checkpoints"
    assert str(folder).startswith(str(tmp_path / "elsewhere"))


def test_endpoints_have_mirrors_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    one = place("s3://bucket/store")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    assert str(place("s3://bucket/store")) != str(one)


def test_what_is_given_is_fetched_elsewhere_and_anew_when_it_changes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(write(place(url) / "f", b"first"))
    elsewhere(monkeypatch, tmp_path)
    assert fetch(place(url) / "f").read_bytes() == b"first"
    storage.write(f"{url}/f", b"then")
    assert fetch(place(url) / "f").read_bytes() == b"then"
    storage.remove(f"{url}/f")
    assert not fetch(place(url) / "f").exists()


def test_what_did_not_change_is_not_fetched_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give(write(place(url) / "f", b"first"))
    monkeypatch.setattr(storage, "download", lambda *_: pytest.fail("fetched"))
    assert fetch(place(url) / "f").read_bytes() == b"first"


def test_a_file_that_was_written_here_and_not_given_is_not_what_was_given(url: str) -> None:
    file = write(place(url) / "f", b"first")
    give(file)
    file.write_bytes(b"never given")
    assert fetch(file).read_bytes() == b"first"


def test_a_forgotten_file_is_gone_on_both_sides(url: str) -> None:
    file = write(place(url) / "f", b"first")
    give(file)
    forget(file)
    assert not file.exists()
    assert storage.read(f"{url}/f") is None


def test_another_digest_is_an_error_and_leaves_no_file(url: str) -> None:
    storage.write(f"{url}/f", b"damaged")
    with pytest.raises(StorageError, match=r"there/f: sha256 000000000000 was put there, and [0-9a-f]{12} came"):
        fetch(place(url) / "f", "0" * 64)
    assert not (place(url) / "f").exists()


def give_some(url: str) -> Path:
    folder = place(url) / "dataset"
    write(folder / "users.npy", b"users")
    write(folder / "deep" / "tracks.npy", b"tracks")
    give_folder(folder)
    return folder


def test_a_folder_is_fetched_whole(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_some(url)
    elsewhere(monkeypatch, tmp_path)
    assert fetch_folder(place(url) / "dataset")
    assert (place(url) / "dataset" / "users.npy").read_bytes() == b"users"
    assert (place(url) / "dataset" / "deep" / "tracks.npy").read_bytes() == b"tracks"


def test_nobody_sees_a_folder_whose_giving_broke_off(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = storage.upload

    def breaks(file: Path, address: str) -> None:
        if address.endswith("tracks.npy"):
            raise StorageError("lost")
        upload(file, address)

    monkeypatch.setattr(storage, "upload", breaks)
    with pytest.raises(StorageError):
        give_some(url)
    elsewhere(monkeypatch, tmp_path)
    assert not fetch_folder(place(url) / "dataset")
    assert not (place(url) / "dataset").exists()


@pytest.mark.parametrize(
    ("content", "said"), [(b"user", "5 bytes were put there, and now it is missing or cut"), (b"usurs", "sha256")]
)
def test_a_folder_with_a_cut_or_damaged_object_is_an_error(
    content: bytes, said: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_some(url)
    storage.write(f"{url}/dataset/users.npy", content)
    elsewhere(monkeypatch, tmp_path)
    with pytest.raises(StorageError, match=said):
        fetch_folder(place(url) / "dataset")
    assert not (place(url) / "dataset").exists()


def test_who_fetches_at_the_same_time_fetches_once(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_some(url)
    elsewhere(monkeypatch, tmp_path)
    fetched: list[str] = []
    download = storage.download

    def counted(address: str, file: Path) -> bool:
        fetched.append(address)
        return download(address, file)

    monkeypatch.setattr(storage, "download", counted)
    threads = [threading.Thread(target=fetch_folder, args=(place(url) / "dataset",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == [f"{url}/dataset/deep/tracks.npy", f"{url}/dataset/users.npy"]


def test_what_an_address_has_lost_is_pruned_once_it_is_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place(url)
    give(write(folder / "kept.npz", b"1"))
    write(folder / "lost.npz", b"2")
    write(folder / "lost" / "tracks.npy", b"3")
    prune(folder)
    assert sorted(entry.name for entry in folder.iterdir()) == ["kept.npz", "lost", "lost.npz"]
    monkeypatch.setattr(mirror, "_YOUNG_S", -1.0)
    prune(folder)
    assert [entry.name for entry in folder.iterdir()] == ["kept.npz"]
