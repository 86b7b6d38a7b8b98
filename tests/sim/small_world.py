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
    np.save(
        folder / "tracks.npy",
        (circle if embeddings is None else embeddings).astype(np.float32),
    )
    return folder


def _join(lines: Sequence[Line]) -> bytes:
    return b"".join(
        (line.encode() if isinstance(line, str) else orjson.dumps(line)) + b"\n"
        for line in lines
    )
