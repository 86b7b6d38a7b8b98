"""Versions made to do harm, whose manifests fit their files: refused, or served without a 500."""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from botify import limits
from botify.errors import ModelError
from botify.model.manifest import MANIFEST
from botify.recommenders.registry import RECOMMENDERS
from botify.service import Service
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

VERSIONS = 60
LISTENERS = 20
ARMS = (*RECOMMENDERS, "interleaved(in_order, fold_in)")
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
    heard = {"users": users, "counts": np.full(LISTENERS, 3)}
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
    """Make what ranks the next play: two near tracks each, and one tree."""
    lists = {
        "counts": np.full(TRACKS, 2),
        "tracks": np.arange(1, 2 * TRACKS + 1) % TRACKS,
        "values": np.ones(2 * TRACKS, np.float32),
    }
    return {
        "artists": np.arange(TRACKS) // 3,
        "plays": np.ones(TRACKS),
        "features": np.array([0]),
        "thresholds": np.array([0.5]),
        "trees": np.array([0]),
        "reachable": np.array([2], np.uint32),
        "leaves": np.arange(32.0)[None],
        **{f"near_{part}": values for part, values in lists.items()},
        **{f"follows_{part}": values for part, values in lists.items()},
    }


class Attacker:
    """Makes versions hostile, each in one to three ways."""

    def __init__(self, seed: int) -> None:
        """Begin a series of attacks."""
        self.rng = np.random.default_rng(seed)

    def pick(self, values: Any) -> Any:  # noqa: ANN401  of any kind
        return values[self.rng.integers(len(values))]

    def attack(self, folder: Path) -> str:
        """Change a version; returns how."""
        ways = (
            self.change_array,
            self.change_array,
            self.change_lists,
            self.change_key,
        )
        picked = [self.pick(ways) for _ in range(self.pick((1, 1, 2)))]
        picked.sort(key=lambda way: way == self.change_key)  # the manifest at last
        return "; ".join(way(folder) for way in picked)

    def change_key(self, folder: Path) -> str:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        above = self.pick([*KEYS])
        last = self.pick(KEYS[above].split())
        owner = manifest
        for key in above:
            if not isinstance(owner.get(key), dict):
                owner[key] = {}
            owner = owner[key]
        owner[last] = self.pick(VALUES)
        (folder / MANIFEST).write_text(json.dumps(manifest))
        return f"{'.'.join((*above, last))} = {owner[last]!r:.40}"

    def change_lists(self, folder: Path) -> str:
        file = folder / self.pick(LISTS)
        lines = file.read_bytes().splitlines() or [b"{}"]
        values = [*VALUES, TRACKS - 1, 2**62, "7", 7.0]
        length = self.pick((0, 1, 1, 30, 5000))
        tracks = [self.pick((self.pick(values), 1)) for _ in range(length)]
        owner = "track" if "similar" in file.name else "user"
        line = {owner: self.pick((self.pick(values), 1)), "tracks": tracks}
        hostile = json.dumps(line).encode()
        raw = (b"", b"\xff", b"[" * 5000, b"null", b"{}", hostile[:-2], b"\0")
        picked = self.pick((hostile, hostile, self.pick(raw)))
        lines[self.rng.integers(len(lines))] = picked
        lines *= self.pick((0, 1, 1, 1, 2))
        file.write_bytes(b"".join(line + b"\n" for line in lines))
        update_manifest(folder, file.name)
        return f"{file.name}: {len(lines)} {picked[:40]!r}"

    def change_array(self, folder: Path) -> str:
        file = folder / self.pick(FILES[len(LISTS) :])
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = self.pick([*members])
        way = self.pick((self.value, self.value, self.kind, self.shape, None))
        content = members[name]
        saved = io.BytesIO()
        try:
            with np.errstate(all="ignore"):
                np.save(saved, way(np.atleast_1d(np.load(io.BytesIO(content)))))
        except (TypeError, ValueError, EOFError):  # no way, or attacked before
            content = content[: self.rng.integers(len(content) + 1)]
            saved.write(content + self.pick((b"", b"\0" * 99, b"\xff")))
        members[name] = saved.getvalue()
        with zipfile.ZipFile(file, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        update_manifest(folder, file.name)
        return f"{file.name}: {name} {way}"

    def kind(self, array: Any) -> Any:  # noqa: ANN401  an array of any kind
        kinds = ("i1", "i2", "u8", "f2", "f8", "g", ">i8", ">f4", "c8", "?", "U3", "S2")
        return array.astype(self.pick(kinds))

    def shape(self, array: Any) -> Any:  # noqa: ANN401  an array of any kind
        fewer = (array[:-1], array[:0], array[..., :0], array.ravel()[:1])
        return self.pick((*fewer, array[None], np.repeat(array, 2, axis=0), array.T))

    def value(self, array: Any) -> Any:  # noqa: ANN401  an array of any kind
        """Change one of the values, or all."""
        values = [*NUMBERS, 1e39, TRACKS - 1, -TRACKS]
        if array.dtype.kind == "i":
            limits = np.iinfo(array.dtype)
            values = [limits.min, limits.max, -1, 0, 1, TRACKS - 1, TRACKS, -TRACKS]
        elif array.dtype.kind == "f":
            array = array.astype(self.pick((array.dtype, np.float64)))
        if array.size:
            count = self.pick((1, array.size))
            at = self.rng.choice(array.size, count, replace=False)
            array.ravel()[at] = np.array(self.pick(values)).astype(array.dtype)
        return array


def ask(service: Service, users: Iterable[int] = USERS) -> Iterator[tuple[str, int]]:
    """Ask all of a service for listeners of all arms; yields the statuses."""
    client = client_of(service)
    ending = "?n=1000&exclude=2"
    for user in users:
        for track in (0, 2 * (user % 25), 10**9):
            heard = {"track": track, "time": 0.7, "n": 5}
            path = f"/next/{user}"
            yield path, client.post(path, json=heard).status_code
        asked = {"user": user, "candidates": [1, 5, 10**9, 59], "session": [3, 4]}
        recommender = ARMS[user % (len(ARMS) - 1)]
        for named in ({}, {"recommender": recommender}):
            answer = client.post("/rank", json={**asked, **named})
            yield f"/rank {user} {named}", answer.status_code
        paths = [f"/recommend/{user}", f"/recommend/{user}{ending}"]
        paths += [f"/recommend/{user}{ending}&recommender={recommender}"]
        if user < TRACKS:
            paths += [f"/similar/{user}", f"/similar/{user}{ending}"]
        for path in paths:
            yield path, client.get(path).status_code
        client.post(f"/last/{user}", json={"track": 1, "time": 0.1})
    for path in ("/experiments", "/openapi.json", "/docs", "/health/ready", "/metrics"):
        yield path, client.get(path).status_code


def fail(
    root: Path, catalogue: Path, count: int, seed: int
) -> tuple[list[str], int, int]:
    """Serve hostile versions one after the other.

    Returns:
        What answered with 500 or was served wrongly, and how many were refused and served.
    """
    publish_whole(root, catalogue, "whole")
    overrides = {user: f"T{user}" if user else "C" for user in range(len(ARMS))}
    arms = [{"recommender": name} for name in ARMS]
    experiment = {"name": "ALL", "arms": arms, "overrides": overrides}
    service = start_service(root, catalogue, experiments=[experiment], text_users=False)
    failures, refused, served = [], 0, 0
    try:
        failures += [f"whole: {p} {s}" for p, s in ask(service) if s != 200]
        for number in range(count):
            before = service.versions.model
            folder = publish_whole(root, catalogue, f"hostile-{number}")
            how = Attacker(seed + number).attack(folder)
            users = USERS
            try:
                service.versions.reload()
                served += 1
            except ModelError as error:
                refused += 1
                users = USERS[:1]
                if service.versions.model is not before or "\n" in str(error):
                    failures.append(f"{number}: {how}: {error}")
            failures += [
                f"{number}: {how}: {path} {status}"
                for path, status in ask(service, users)
                if status >= 500
            ]
    finally:
        service.close()
    return failures, refused, served


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of huge numbers
def test_no_hostile_version_makes_the_service_fail(
    tmp_path: Path, catalogue_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_S", 1e6)
    failures, refused, served = fail(tmp_path, catalogue_file, VERSIONS, seed=1)
    assert not failures
    assert refused > 10 < served
