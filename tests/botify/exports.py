"""Catalogues and published versions for the service to load, small or of any size."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from botify.settings import ServiceSettings
from looplib.checksums import unseal
from looplib.config import parse_config
from looplib.files import sha256_file
from tests.botify.client import read_lines

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def write_catalogue(file: Path, artists: Sequence[int]) -> Path:
    """Write a catalogue: a track for each artist, in this order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"track": i, "artist": f"artist {artist}", "title": f"track {i}"}
        for i, artist in enumerate(artists)
    ]
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return file


def publish(
    root: Path,
    name: str,
    lists: Mapping[int, Sequence[int]],
    *,
    catalogue: Path,
    factors: np.ndarray[Any, Any] | None = None,
    day: int = 0,
) -> Path:
    """Write a version and make it current, as `recsys.export` does.

    Args:
        root: Folder of published versions.
        name: Of the version.
        lists: Tracks by listener.
        catalogue: The catalogue's file.
        factors: Item factors of tracks 0, 1 and so on; by default random ones.
        day: When it was made; larger is later.
    """
    tracks = len(catalogue.read_bytes().splitlines())
    if factors is None:
        factors = np.random.default_rng(3).normal(size=(tracks, 8))
    folder = root / "versions" / name
    folder.mkdir(parents=True)
    write_lists(folder / "recommendations.jsonl", lists)
    np.savez(
        folder / "factors.npz",
        tracks=np.arange(len(factors)),
        item_factors=factors.astype(np.float32),
    )
    manifest = {
        "schema": 1,
        "model": name,
        "created_at": (FIRST + timedelta(days=day)).isoformat(),
        "data": {"catalogue": {"sha256": sha256_file(catalogue), "tracks": tracks}},
        "files": {},
    }
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    for file in ("recommendations.jsonl", "factors.npz"):
        update_manifest(folder, file)
    point_to(root, name)
    return folder


def write_lists(
    file: Path, lists: Mapping[int, Sequence[int]], of: str = "user"
) -> None:
    """Write the tracks of each listener, or of each track."""
    lines = [{of: owner, "tracks": list(tracks)} for owner, tracks in lists.items()]
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def read_lists(version: Path | str, name: str = "recommendations.jsonl") -> Any:  # noqa: ANN401  of ids of any kind
    """Read the tracks of each listener, or of each track."""
    lines = read_lines(Path(version, name))
    return {line.get("user", line.get("track")): line["tracks"] for line in lines}


def point_to(root: Path, name: str) -> None:
    """Let `current` lead to a version."""
    link = root / "new"
    link.symlink_to(f"versions/{name}")
    link.replace(root / "current")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a version's manifest."""
    return unseal((folder / "manifest.json").read_bytes())


def edit_manifest(folder: Path, **changes: object) -> None:
    """Change keys of a version's manifest."""
    changed = json.dumps({**read_manifest(folder), **changes})
    (folder / "manifest.json").write_text(changed)


def update_manifest(folder: Path, name: str) -> None:
    """Update the digest and size of a file in its version's manifest."""
    files = read_manifest(folder)["files"]
    file = folder / name
    facts = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    rows = file.read_bytes().count(b"\n") if file.suffix == ".jsonl" else None
    edit_manifest(
        folder,
        files={**files, name: {"rows": rows, **files.get(name, {}), **facts}},
    )


def random_lists(listeners: int, tracks: int) -> dict[int, list[int]]:
    """Make a list of different tracks for each listener."""
    starts = np.random.default_rng(5).integers(tracks, size=listeners).tolist()
    return {
        user: [(start + 7 * j) % tracks for j in range(30)]
        for user, start in enumerate(starts)
    }


def experiments_of(*recommenders: str, name: str = "ONE") -> list[dict[str, Any]]:
    """Make the settings of an experiment with an arm for each recommender."""
    arms = [{"recommender": recommender} for recommender in recommenders]
    return [{"name": name, "arms": arms}]


def make_settings(
    root: Path, catalogue: Path, recommender: str = "indexed", **changes: object
) -> ServiceSettings:
    """Make the settings of a service with a single arm and the versions in `root`."""
    document: dict[str, Any] = {
        "catalogue": str(catalogue),
        "recommendations": str(root / "current" / "recommendations.jsonl"),
        "log_dir": str(root / "log"),
        "experiments": experiments_of(recommender),
    }
    return parse_config(ServiceSettings, {**document, **changes}, "the test")
