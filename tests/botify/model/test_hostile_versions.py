"""Versions made to do harm, whose manifests fit their files: refused, or served without a 500."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify import limits
from botify.errors import ModelError
from botify.model.manifest import MANIFEST
from botify.recommenders.registry import RECOMMENDERS
from botify.service import Service
from looplib.experiments import arm_name
from looplib.files import sha256_file
from looplib.memory import FILE_NAME as PLAYS
from looplib.next_play import FILE_NAME as LIVE
from tests.botify.client import client_of
from tests.botify.conftest import start_service
from tests.botify.exports import (
    edit_manifest,
    publish,
    random_lists,
    update_manifest,
    write_lists,
)
from tests.botify.model.conftest import ALS, TRACKS

Pick = Callable[[Any], Any]
VERSIONS = 60
ARMS = (*RECOMMENDERS, "interleaved(in_order, fold_in)")
LISTENERS = 15  # the overrides put one of them into each arm
USERS = (*range(LISTENERS), 777, 2**63 - 1)
LISTS = ("recommendations.jsonl", "repeat.jsonl", "new.jsonl", "similar.jsonl")
FILES = (*LISTS, "factors.npz", "history.npz", PLAYS, LIVE)
NUMBERS = (np.nan, np.inf, -np.inf, 1e308, -1e308, 1e38, 1e-300, 0, -1, 1, TRACKS)
LARGE = (2**31, 2**63 - 1, -(2**63), 2**64, 10**400)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *LARGE,
    "",
    "\ud800",
    "x" * 9999,
    None,
    True,
    [],
    {},
    [[]],
    "log",
)
KEYS = {
    (): "model created_at schema files data parameters factors feedback lists",
    ("data",): "catalogue fitted_tracks mean_weight",
    ("data", "catalogue"): "sha256 own_ids",
    ("parameters",): "factors regularization alpha nu unobserved_weight",
    ("feedback",): "min_time scale",
    ("lists",): "filter_seen",
    ("factors",): "alpha",
}


def publish_whole(root: Path, catalogue: Path, name: str) -> Path:
    """Publish a version with all that recommenders read, and which nothing is wrong with."""
    lists = random_lists(LISTENERS, TRACKS)
    folder = publish(root, name, lists, catalogue=catalogue)
    for file in LISTS[1:]:
        write_lists(folder / file, lists, "track" if "similar" in file else "user")
    tracks, users = np.arange(TRACKS), np.arange(LISTENERS)
    heard = {"users": users, "counts": np.full(LISTENERS, 4)}
    arrays: dict[str, dict[str, Any]] = {
        "history.npz": {**heard, "heard": tracks, "values": np.ones(60)},
        PLAYS: {**heard, "latest": users, "plays": tracks},
        LIVE: live_arrays(),
    }
    for file, members in arrays.items():
        np.savez(folder / file, allow_pickle=False, tracks=tracks, **members)
    for file in FILES:
        update_manifest(folder, file)
    digest = {"sha256": sha256_file(catalogue), "tracks": TRACKS, "own_ids": True}
    edit_manifest(folder, parameters=ALS, data={"catalogue": digest})
    return folder


def live_arrays() -> dict[str, Any]:
    """Make the ranker of the next play: two near tracks for each track, and a tree."""
    lists = {
        "counts": np.full(TRACKS, 2),
        "tracks": np.arange(1, 2 * TRACKS + 1) % TRACKS,
        "values": np.ones(2 * TRACKS, np.float32),
    }
    return {
        "groups": np.arange(TRACKS)[np.newaxis] // 3,
        "points": np.zeros((TRACKS, 0), np.float32),
        "dimensions": np.zeros(0, np.int64),
        "widths": np.ones(1, np.int64),
        "plays": np.ones(TRACKS),
        "skips": np.zeros(TRACKS),
        "features": np.array([0]),
        "thresholds": np.array([0.5]),
        "trees": np.array([0]),
        "reachable": np.array([2], np.uint32),
        "leaves": np.arange(32.0)[None],
        **{f"near_{part}": values for part, values in lists.items()},
        **{f"follows_{part}": values for part, values in lists.items()},
    }


def attack(folder: Path, seed: int) -> None:
    """Make a version hostile, in up to two ways."""
    rng = np.random.default_rng(seed)

    def pick(values: Any) -> Any:  # noqa: ANN401  of any kind
        return values[rng.integers(len(values))]

    ways = (change_array, change_array, change_lists, change_key)
    picked = [pick(ways) for _ in range(pick((1, 1, 2)))]
    for way in sorted(
        picked, key=lambda way: way is change_key
    ):  # the manifest at last
        way(folder, pick)


def change_key(folder: Path, pick: Pick) -> None:
    manifest = owner = json.loads((folder / MANIFEST).read_bytes())
    above = pick([*KEYS])
    for key in above:
        if not isinstance(owner.get(key), dict):
            owner[key] = {}
        owner = owner[key]
    owner[pick(KEYS[above].split())] = pick(VALUES)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def change_lists(folder: Path, pick: Pick) -> None:
    file = folder / pick(LISTS)
    lines = file.read_bytes().splitlines() or [b"{}"]
    values = [*VALUES, TRACKS - 1, 2**62, "7", 7.0]
    tracks = [pick((pick(values), 1)) for _ in range(pick((0, 1, 1, 30, 5000)))]
    owner = "track" if "similar" in file.name else "user"
    hostile = json.dumps({owner: pick((pick(values), 1)), "tracks": tracks}).encode()
    raw = (b"", b"\xff", b"[" * 5000, b"null", b"{}", hostile[:-2], b"\0")
    lines[pick(range(len(lines)))] = pick((hostile, hostile, pick(raw)))
    lines *= pick((0, 1, 1, 1, 2))
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    update_manifest(folder, file.name)


def change_array(folder: Path, pick: Pick) -> None:
    file = folder / pick(FILES[len(LISTS) :])
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = pick([*members])
    way = pick((change_values, change_values, change_kind, change_shape, None))
    content = members[name]
    saved = io.BytesIO()
    try:
        with np.errstate(all="ignore"):
            np.save(saved, way(np.atleast_1d(np.load(io.BytesIO(content))), pick))
    except (TypeError, ValueError, EOFError):  # no way, or attacked before
        content = content[: pick(range(len(content) + 1))]
        saved.write(content + pick((b"", b"\0" * 99, b"\xff")))
    members[name] = saved.getvalue()
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    update_manifest(folder, file.name)


def change_kind(array: Any, pick: Pick) -> Any:  # noqa: ANN401  an array of any kind
    kinds = ("i1", "i2", "u8", "f2", "f8", "g", ">i8", ">f4", "c8", "?", "U3", "S2")
    return array.astype(pick(kinds))


def change_shape(array: Any, pick: Pick) -> Any:  # noqa: ANN401  an array of any kind
    fewer = (array[:-1], array[:0], array[..., :0], array.ravel()[:1])
    return pick((*fewer, array[None], np.repeat(array, 2, axis=0), array.T))


def change_values(array: Any, pick: Pick) -> Any:  # noqa: ANN401  an array of any kind
    """Change a value, or all."""
    values = [*NUMBERS, 1e39, TRACKS - 1, -TRACKS]
    if array.dtype.kind == "i":
        limits = np.iinfo(array.dtype)
        values = [limits.min, limits.max, -1, 0, 1, TRACKS - 1, TRACKS, -TRACKS]
    elif array.dtype.kind == "f":
        array = array.astype(pick((array.dtype, np.float64)))
    if array.size:
        at = pick((slice(None), pick(range(array.size))))
        array.ravel()[at] = np.array(pick(values)).astype(array.dtype)
    return array


def ask(service: Service, users: Iterable[int] = USERS) -> Iterator[tuple[str, int]]:
    """Ask all of a service for listeners of all arms; yields the statuses."""
    client = client_of(service)
    ending = "?n=1000&exclude=2"
    for user in users:
        for track in (2 * (user % 25), 10**9):
            heard = {"track": track, "time": 0.7, "n": 5}
            path = f"/next/{user}"
            yield path, client.post(path, json=heard).status_code
        asked = {"user": user, "candidates": [1, 5, 10**9, 59], "session": [3, 4]}
        recommender = ARMS[user % (len(ARMS) - 1)]
        for named in ({}, {"recommender": recommender}):
            answer = client.post("/rank", json={**asked, **named})
            yield f"/rank {user} {named}", answer.status_code
        paths = [f"/recommend/{user}{ending}", f"/similar/{user % TRACKS}{ending}"]
        for path in (*paths, f"{paths[0]}&recommender={recommender}"):
            yield path, client.get(path).status_code
        client.post(f"/last/{user}", json={"track": 1, "time": 0.1})
    for path in ("/experiments", "/openapi.json", "/docs", "/health/ready", "/metrics"):
        yield path, client.get(path).status_code


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # huge numbers overflow
def test_no_hostile_version_makes_the_service_fail(
    tmp_path: Path, catalogue_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_S", 1e6)
    publish_whole(tmp_path, catalogue_file, "whole")
    overrides = {user: arm_name(user) for user in range(len(ARMS))}
    arms = [{"recommender": name} for name in ARMS]
    experiment = {"name": "ALL", "arms": arms, "overrides": overrides}
    settings = {"experiments": [experiment], "text_users": False}
    reasons: list[str] = []
    with closing(start_service(tmp_path, catalogue_file, **settings)) as service:
        assert [answer for answer in ask(service) if answer[1] != 200] == []
        for seed in range(1, VERSIONS + 1):
            before, users = service.versions.model, USERS
            attack(publish_whole(tmp_path, catalogue_file, f"hostile-{seed}"), seed)
            try:
                service.versions.reload()
            except ModelError as error:
                reasons.append(str(error))
                users = USERS[:1]
            assert (service.versions.model is before) == (users != USERS)
            failed = [answer for answer in ask(service, users) if answer[1] >= 500]
            assert failed == [], f"version hostile-{seed}"
    assert 10 < len(reasons) < VERSIONS - 10
    assert "\n" not in "".join(reasons)
