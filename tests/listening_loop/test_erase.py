"""A listener is erased from everything, and nothing is counted twice afterwards."""

import itertools
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import orjson
import pytest
import redis

from analysis.errors import AnalysisError
from analysis.logs.files import discover
from botify.recommenders.registry import RECOMMENDERS
from botify.service import load_configured
from listening_loop.client import ServiceClient
from listening_loop.command import main
from looplib.memory import FILE_NAME as PLAYS
from recsys.config import ExportConfig, Split
from recsys.export.export import (
    current_version,
    export_run,
    point_to,
    publish_version,
)
from recsys.ingest.pipeline import ingest
from recsys.storage import open_workspace
from recsys.store.ids import originals
from recsys.store.reader import open_store
from tests.botify.exports import experiments_of, make_settings, write_catalogue
from tests.botify.model.conftest import TRACKS
from tests.botify.model.test_hostile_versions import LISTENERS, publish_whole
from tests.botify.redis_server import shared_server
from tests.conftest import Run
from tests.faults.served import Published, serve
from tests.faults.test_service_edge import beside
from tests.recsys.events import event, read_rows
from tests.recsys.finished import finish_run
from tests.recsys.ingest.test_sources import LINES, WAYS, write
from tests.recsys.s3 import server
from tests.waiting import wait_until

USER = 3
LEFT = [track for track in range(150) if track % 7 != USER]


def tracks_in(store: Path) -> list[int]:
    return sorted(row["track"] for row in read_rows(open_store(store)))


def run(*arguments: object) -> int:
    return main(["erase", "--user", str(USER), *map(str, arguments)])


@pytest.mark.parametrize("way", WAYS)
def test_erased_logs_are_not_counted_again_whatever_happened_to_them(
    tmp_path: Path, way: str
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    for change in WAYS[way]:
        change(log)
        ingest([log], store)
    shutil.copytree(log, tmp_path / "backup")
    code = 2 if any(file.is_open for file in discover([log])) else 0
    assert run("--log", log, "--store", store) == code
    assert tracks_in(store) == LEFT
    assert ingest([log], store).added == ()
    with suppress(AnalysisError):  # a file that was read as a part of another
        assert ingest([tmp_path / "backup"], store).added == ()
    for file in discover([log]):
        if not file.is_open:
            with file.check().open() as text:
                assert not any(b'"user": 3' in line for line in text)
    before = open_store(store)
    assert run("--log", log, "--store", store) == code
    assert open_store(store) == before, "there is nothing left to do"


@pytest.mark.parametrize(
    "broken",
    [
        "recsys.storage.Workspace.delete",
        "listening_loop.erase.commit",
        "listening_loop.erase.atomic_write",
        "pathlib.Path.unlink",
    ],
)
def test_an_interrupted_erasure_goes_on(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    for change in (*WAYS["mixed"], write("plain.log", LINES[0])):
        change(log)
    ingest([log], store)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    arguments = ("--log", log, "--store", store)
    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        assert run(*arguments) == 2
    ingest([log], store)
    assert run(*arguments) == 0
    ingest([log], store)
    assert tracks_in(store) == LEFT


def test_a_text_id_leaves_the_store_with_its_rejects_and_datasets(
    tmp_path: Path, printed: Run
) -> None:
    log, store = tmp_path / "a.log", tmp_path / "store"
    users = ["zoë", "ann", "zoë 2"]
    events = [event(user=user, track=1) for user in users]
    lines = [orjson.dumps(line) for line in (*events, {"user": "zoë", "track": 2})]
    log.write_bytes(b"\n".join([*lines, b'{"user": "torn']))
    ingest([log], store)
    (store / "cache/one").mkdir(parents=True)
    assert "1 rows" in printed("erase", "--user", "zoë", "--store", store)
    after = open_store(store)
    numbers = np.array(sorted({row["user"] for row in read_rows(after)}))
    assert sorted(originals(after, "users", numbers)) == ["ann", "zoë 2"]
    assert not [*store.rglob("rejects/*"), *store.rglob("cache")]
    assert len([*store.rglob("*.parquet")]) == len(
        (*after.manifest.parts, *after.manifest.id_files)
    )
    assert ingest([log], store).added == ()


@pytest.mark.parametrize(
    "is_remote", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_versions_are_published_again_without_the_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_remote: bool
) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", [*range(TRACKS)])
    for name in ("first", "second"):
        folder = publish_whole(tmp_path, catalogue, name)
        np.save(folder / "scores.npy", np.arange(LISTENERS))
    experiments = experiments_of(*RECOMMENDERS)
    settings = make_settings(tmp_path, catalogue, experiments=experiments)
    before = load_configured(settings)
    if is_remote:
        erase_remotely(tmp_path, monkeypatch)
    else:
        assert run("--export", tmp_path) == run("--export", tmp_path) == 0
    versions = sorted(
        path.name.partition("~")[0] for path in tmp_path.glob("versions/*")
    )
    assert versions == ["first", "second"]
    after = load_configured(settings)
    assert after.version == before.version == "second"
    for name in ("lists", "repeat.jsonl", "new.jsonl", "history.npz"):
        assert_erased(before.artifacts[name], after.artifacts[name])
    assert_erased(before.artifacts[PLAYS].lists, after.artifacts[PLAYS].lists)
    scores = np.load(tmp_path / "current/scores.npy")
    assert np.array_equal(scores, np.delete(np.arange(LISTENERS), USER))


def erase_remotely(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload an export, erase there, and download it into the place of the first."""
    address, names = "s3://music/out", ("first", "second")
    with server(root) as s3:
        for key, value in s3.environment().items():
            monkeypatch.setenv(key, value)
        for name in names:
            uploaded = partial(shutil.copytree, root / "versions" / name)
            publish_version(address, name, partial(uploaded, dirs_exist_ok=True))
        assert run("--export", address) == run("--export", address) == 0
        shutil.rmtree(root / "versions")
        out = open_workspace(address)
        versions = out.sub("versions")
        for name in versions.names():
            versions.sub(name).evict(".")  # what is left is there, not here
            assert versions.sub(name).download_all()
            shutil.copytree(versions.folder / name, root / "versions" / name)
        point_to(open_workspace(root), current_version(out))


def assert_erased(before: Any, after: Any) -> None:  # noqa: ANN401  lists of any kind
    assert before.list_of(USER)
    assert USER not in after.ids
    for user in {*before.ids.tolist()} - {USER}:
        assert before.list_of(user) == after.list_of(user)


def test_a_run_and_a_service_forget_single_listeners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("store: s\nrun: r\ncatalogue: null\n")
    (tmp_path / "listeners/a").mkdir(parents=True)
    asked: list[object] = []
    monkeypatch.setattr(ServiceClient, "ask", lambda *request: asked.append(request))
    monkeypatch.setenv("BOTIFY_ADMIN_TOKEN", "secret")
    address = "http://127.0.0.1:1"
    assert run("--run", tmp_path, "--service", address) == 0
    client = ServiceClient(address, "secret")
    assert asked == [(client, "DELETE", f"/listeners/{USER}")]
    assert not (tmp_path / "listeners").exists()


@pytest.mark.slow
@pytest.mark.dask
def test_a_listener_is_erased_while_the_service_answers_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    catalogue = write_catalogue(tmp_path / "tracks.json", [*range(TRACKS)])
    publish_whole(tmp_path, catalogue, "first")
    redis_url = shared_server().url
    settings: dict[str, Any] = {
        "processes": 2,
        "redis_url": redis_url,
        "redis_prefix": "erased",
        "experiments": experiments_of("latest", "next_track"),
    }
    monkeypatch.setenv("BOTIFY_ADMIN_TOKEN", "secret")
    others, answered = [1, 2, 4, 5], itertools.count()
    with serve(Published(tmp_path), log, **settings) as served:

        def hear(user: int, message: str = "next") -> None:
            body = {"track": user, "time": 0.5}
            assert served.ask("POST", f"/{message}/{user}", body)[0] == 200
            next(answered)

        def ask_others(ended: Event) -> None:
            while not ended.is_set():
                for message, user in itertools.product(("next", "last"), others):
                    hear(user, message)

        def latest_of(user: int) -> list[int]:
            path = f"/recommend/{user}?recommender=latest"
            tracks: list[int] = served.ask("GET", path)[1]["tracks"]
            return tracks

        with beside(ask_others, 2):
            for _ in range(20):
                hear(USER)
            ingest([log], store)
            assert latest_of(USER) != latest_of(999)
            whole = ("--log", log, "--store", store, "--export", tmp_path)
            assert run(*whole, "--service", f"http://127.0.0.1:{served.port}") == 2
            last = capsys.readouterr().err.splitlines()[-1]
            assert "not complete: a service still writes to" in last
            with redis.Redis.from_url(redis_url) as client:
                assert client.keys("erased:*")
                assert not client.keys(f"erased:*:{USER}")
            wait_until(  # both processes have the version without the listener
                lambda: all(latest_of(USER) == latest_of(999) for _ in range(20)),
                "the version without the listener",
            )
            ingest([log], store)
            assert USER not in {row["user"] for row in read_rows(open_store(store))}
        assert served.stop() == 0
        assert f"/{USER}" not in served.errors.read_text()
    assert run("--log", log, "--store", store) == 0
    assert not any(b'"user":3,' in file.read_bytes() for file in log.iterdir())
    ingest([log], store)
    assert len(tracks_in(store)) == next(answered) - 20
    out = tmp_path / "next"
    finished = finish_run(tmp_path, split=Split(kind="newest", holdout=0.25))
    export_run(finished, out, ExportConfig(publish_anyway=True))
    with np.load(out / "current" / PLAYS) as arrays:
        assert arrays["users"].tolist() == others


@pytest.mark.parametrize("user", ["zoë", "-1", "1.5", "9" * 30])
def test_an_id_of_the_other_kind_is_refused(
    tmp_path: Path, user: str, refusal: Run
) -> None:
    write("a.log", LINES[0])(tmp_path)
    ingest([tmp_path], tmp_path / "store")
    line = refusal("erase", "--user", user, "--store", tmp_path / "store")
    assert "its listeners have numbers" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what has the listener"),
        (["--store", "nowhere"], "no session store here"),
        (["--log", "nowhere"], "no such file or folder"),
        (["--run", "nowhere"], "cannot be read"),
        (["--export", "nowhere"], "no published versions here"),
    ],
)
def test_what_is_not_there_is_an_error(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Run,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal("erase", "--user", USER, *arguments)
    assert not [*tmp_path.iterdir()]
