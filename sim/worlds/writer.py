"""Writes a world's folder, whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson

from looplib.arrays import Float32Array
from looplib.files import atomic_directory
from sim.errors import WorldError
from sim.worlds.files import EMBEDDINGS_FILE, TRACKS_FILE, USERS_FILE

Records = Iterable[Mapping[str, object]]


@contextmanager
def new_world(folder: Path, tracks: Records, users: Records, embeddings: Float32Array) -> Iterator[Path]:
    """Writes the files that every world has to a folder that becomes `folder` at the end of the block.

    Args:
        folder: What is to appear.
        tracks: The lines of `tracks.json`.
        users: The lines of `users.json`.
        embeddings: (tracks, dimensions).

    Raises:
        WorldError: It cannot be written.
    """
    try:
        with atomic_directory(folder) as new:
            (new / TRACKS_FILE).write_bytes(_join_lines(tracks))
            (new / USERS_FILE).write_bytes(_join_lines(users))
            np.save(new / EMBEDDINGS_FILE, embeddings)
            yield new
    except OSError as error:
        raise WorldError(f"{folder}: cannot be written ({error.strerror or error})") from None


def _join_lines(records: Records) -> bytes:
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
