"""Read a world's files: `tracks.json`, `tracks.npy`, `users.json`, `world.yaml`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, NonNegativeInt, ValidationError

from looplib.arrays import AnyArray, Float32Array, FloatArray, IntArray, offsets
from looplib.config import Count, load_config
from looplib.files import sha256_file
from sim.errors import SimError
from sim.worlds.config import ORIGINAL, Nature, WorldConfig
from sim.worlds.neighbours import nearest_tracks

TRACKS_FILE = "tracks.json"
EMBEDDINGS_FILE = "tracks.npy"
USERS_FILE = "users.json"
CONFIG_FILE = "world.yaml"  # absent from the original course service's files
WORLD_FILES = (TRACKS_FILE, EMBEDDINGS_FILE, USERS_FILE, CONFIG_FILE)


@dataclass(frozen=True)
class World:
    """A world as arrays: by track id, by listener id, and all interests in one row."""

    embeddings: Float32Array  # (tracks, dimensions)
    artist: IntArray  # (tracks,), number of the artist
    interests: IntArray  # track ids, listener after listener
    # (listeners + 1,): listener u has interests[offsets[u]:offsets[u + 1]]
    interest_offsets: IntArray
    nearest: IntArray  # (interests, most neighbours), tracks around each, nearest first
    interest_neighbours: IntArray  # (listeners,), how many of these can be organic
    consume_bias: FloatArray  # (listeners,)
    consume_sharpness: FloatArray  # (listeners,)
    session_budget: IntArray  # (listeners,)
    gamma: FloatArray  # (listeners,), factor for each earlier track of an artist
    nature: Nature = ORIGINAL
    seed: int = 0  # seed of listeners' own tastes for tracks

    @property
    def tracks(self) -> int:
        """The number of tracks."""
        return len(self.artist)

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self.consume_bias)


class _TrackLine(BaseModel, strict=True):
    """A line of `tracks.json`; unknown keys are ignored."""

    track: int
    artist: int | str


class _UserLine(BaseModel, strict=True):
    """A line of `users.json`; missing fields take the original service's defaults."""

    user: int
    interests: list[NonNegativeInt] = Field(min_length=1)
    interest_neighbours: Count = 10
    consume_bias: FiniteFloat = 5.0
    consume_sharpness: FiniteFloat = Field(default=1.0, gt=0)
    session_budget: Count = 5
    artist_discount_gamma: FiniteFloat = Field(default=0.8, ge=0, le=1)


_RecordT = TypeVar("_RecordT", bound=BaseModel)


def load_world(folder: Path) -> World:
    """Read a world, ours or in the original course service's files.

    Finding the tracks around the interests of a large world takes seconds.

    Raises:
        SimError: A file is missing, a line is torn or out of order, or the files contradict each
            other; the message names the file and the line.
    """
    tracks = _read_records(folder / TRACKS_FILE, _TrackLine, "track")
    artists = np.array([track.artist for track in tracks], np.str_)
    del tracks  # a large catalogue's records take more memory than all arrays
    embeddings = _read_embeddings(folder / EMBEDDINGS_FILE, len(artists))
    users = _read_records(folder / USERS_FILE, _UserLine, "user")
    for line, user in enumerate(users, start=1):
        if (interest := max(user.interests)) >= len(artists):
            raise SimError(
                f"{folder / USERS_FILE}:{line}: interest {interest} is no track; "
                f"the catalogue has 0..{len(artists) - 1}"
            )
    file = folder / CONFIG_FILE
    config = load_config(WorldConfig, file) if file.exists() else None
    nature = config.nature if config else ORIGINAL

    def column(name: str) -> AnyArray:
        return np.array([getattr(user, name) for user in users])

    interests = np.concatenate([user.interests for user in users])
    neighbours = np.minimum(column("interest_neighbours"), len(artists))
    return World(
        embeddings=embeddings,
        artist=np.unique(artists, return_inverse=True)[1],
        interests=interests,
        interest_offsets=offsets([len(user.interests) for user in users]),
        nearest=nearest_tracks(
            embeddings,
            interests,
            int(neighbours.max()),
            by_inner_product=nature.opens_by_product,
        ),
        interest_neighbours=neighbours,
        consume_bias=column("consume_bias"),
        consume_sharpness=column("consume_sharpness"),
        session_budget=column("session_budget"),
        gamma=column("artist_discount_gamma"),
        nature=nature,
        seed=config.seed if config else 0,
    )


def world_digest(folder: Path) -> str:
    """Compute one SHA-256 over all of a world's files."""
    files = [folder / name for name in WORLD_FILES]
    lines = [f"{file.name} {sha256_file(file)}\n" for file in files if file.exists()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_records(path: Path, model: type[_RecordT], key: str) -> list[_RecordT]:
    """Read records whose ids, under the key, are 0..n-1 in order."""
    records: list[_RecordT] = []
    try:
        with path.open("rb") as file:
            for line in file:
                record = model.model_validate_json(line)
                number = getattr(record, key)
                if number != len(records):
                    raise SimError(
                        f"{path}:{len(records) + 1}: {key} {number} found, "
                        f"{len(records)} expected: ids must be 0..n-1 in order"
                    )
                records.append(record)
    except OSError as error:
        raise SimError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        words = [".".join(map(str, detail["loc"])), detail["msg"]]
        message = ": ".join(filter(None, words))
        raise SimError(f"{path}:{len(records) + 1}: {message}") from None
    if not records:
        raise SimError(f"{path}: holds no {key}s")
    return records


def _read_embeddings(path: Path, tracks: int) -> Float32Array:
    try:
        embeddings = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SimError(f"{path}: cannot be read ({reason})") from None
    is_numeric = embeddings.ndim == 2 and embeddings.dtype.kind in "fiu"
    if not is_numeric or len(embeddings) != tracks:
        raise SimError(
            f"{path}: {embeddings.dtype} {embeddings.shape} found; numbers of shape "
            f"(tracks, dimensions) are expected, and {TRACKS_FILE} holds {tracks} tracks"
        )
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise SimError(
            f"{path}: the embedding of track {int(np.argmin(finite))} "
            "holds NaN or infinite numbers"
        )
    return np.ascontiguousarray(embeddings, dtype=np.float32)
