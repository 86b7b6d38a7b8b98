"""A small world in the original's files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Line = dict[str, Any] | str
TRACKS: Sequence[Line] = [
    {"track": i, "artist": f"artist {i % 4}", "title": f"title {i}"} for i in range(12)
]
USERS: Sequence[Line] = [
    {"user": 0, "interests": [0, 5]},
    {"user": 1, "interests": [7]},
    {
        "user": 2,
        "interests": [3, 4, 11],
        "consume_bias": 2.0,
        "consume_sharpness": 0.5,
        "session_budget": 3,
        "interest_neighbours": 4,
        "artist_discount_gamma": 0.5,
    },
]


def write_world(
    folder: Path,
    tracks: Sequence[Line] = TRACKS,
    embeddings: npt.NDArray[Any] | None = None,
    users: Sequence[Line] = USERS,
) -> Path:
    """Write twelve tracks of four artists on a circle, unless given others, and three listeners."""
    folder.mkdir(parents=True)
    angles = np.arange(12) * (2 * np.pi / 12)
    circle = 2.5 * np.column_stack([np.cos(angles), np.sin(angles)])
    (folder / "tracks.json").write_bytes(_join(tracks))
    (folder / "users.json").write_bytes(_join(users))
    array = circle.astype(np.float32) if embeddings is None else embeddings
    np.save(folder / "tracks.npy", array)
    return folder


def write_endless_world(folder: Path, tracks: int) -> Path:
    """Write tracks of as many artists, all heard to the end by a listener who is never bored."""
    never_bored = {"consume_bias": -100.0, "session_budget": tracks}
    return write_world(
        folder,
        tracks=[{"track": i, "artist": i} for i in range(tracks)],
        embeddings=np.ones((tracks, 2)),
        users=[{"user": 0, "interests": [0], **never_bored}],
    )


def _join(lines: Sequence[Line]) -> bytes:
    return b"".join(
        (line.encode() if isinstance(line, str) else orjson.dumps(line)) + b"\n"
        for line in lines
    )
