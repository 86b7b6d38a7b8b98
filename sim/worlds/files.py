"""Read a world's files: `tracks.json`, `tracks.npy`, `users.json`, `world.yaml`."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    ValidationError,
)

from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.config import Config, Count, load_config
from looplib.files import sha256_file
from sim.errors import SimError
from sim.worlds.config import (
    DEFAULT_CONSUME_BIAS,
    DEFAULT_CONSUME_SHARPNESS,
    DEFAULT_GAMMA,
    DEFAULT_SESSION_BUDGET,
    ResponseConfig,
)

TRACKS_FILE = "tracks.json"
EMBEDDINGS_FILE = "tracks.npy"
USERS_FILE = "users.json"
CONFIG_FILE = "world.yaml"  # absent from the original course service's files
WORLD_FILES = (TRACKS_FILE, EMBEDDINGS_FILE, USERS_FILE, CONFIG_FILE)


@dataclass(frozen=True)
class World:
    """A world as arrays: by track id, by listener id, and all interests in one row."""

    embeddings: Float32Array  # (tracks, dimensions)
    artist: IntArray  # (tracks,), one number an artist
    interests: IntArray  # track ids, listener after listener
    # (listeners + 1,): listener u has interests[offsets[u]:offsets[u + 1]]
    interest_offsets: IntArray
    # (listeners,), tracks around an interest that can be organic
    interest_neighbours: IntArray
    consume_bias: FloatArray  # (listeners,)
    consume_sharpness: FloatArray  # (listeners,)
    session_budget: IntArray  # (listeners,)
    gamma: FloatArray  # (listeners,), factor for each earlier track of an artist
    catalogue_sha256: str  # of tracks.json
    sha256: str  # of all files
    response: ResponseConfig = field(default_factory=ResponseConfig)
    seed: int = 0  # of what only one listener hears in one track

    @property
    def tracks(self) -> int:
        """The number of tracks."""
        return len(self.artist)

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self.consume_bias)


class _Settings(Config):
    """What sessions need of a world's configuration."""

    model_config = ConfigDict(extra="ignore")
    seed: int = 0
    gamma: float = DEFAULT_GAMMA
    response: ResponseConfig = ResponseConfig()


class _Record(BaseModel):
    """A line of a file; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _TrackRecord(_Record):
    """A line of `tracks.json`."""

    track: int
    artist: int | str


class _UserRecord(_Record):
    """A line of `users.json`; what is missing takes the original service's defaults."""

    user: int
    interests: list[NonNegativeInt] = Field(min_length=1)
    interest_neighbours: Count | None = None
    consume_bias: FiniteFloat = DEFAULT_CONSUME_BIAS
    consume_sharpness: FiniteFloat = Field(default=DEFAULT_CONSUME_SHARPNESS, gt=0)
    session_budget: Count = DEFAULT_SESSION_BUDGET
    artist_discount_gamma: FiniteFloat | None = Field(default=None, ge=0, le=1)


_AnyRecord = TypeVar("_AnyRecord", bound=_Record)


def load_world(folder: Path) -> World:
    """Read a world, ours or in the original course service's files.

    Raises:
        SimError: A file is missing, a line is torn or out of order, or the files contradict each
            other; the message names the file and the line.
    """
    tracks = _read_numbered(folder / TRACKS_FILE, _TrackRecord, "track")
    embeddings = _read_embeddings(folder / EMBEDDINGS_FILE, len(tracks))
    users = _read_numbered(folder / USERS_FILE, _UserRecord, "user")
    _check_interests(folder / USERS_FILE, users, len(tracks))
    settings = folder / CONFIG_FILE
    config = load_config(_Settings, settings if settings.exists() else None)
    interests = [track for user in users for track in user.interests]
    interest_counts = [len(user.interests) for user in users]
    neighbours = [
        user.interest_neighbours or config.response.organic_neighbours for user in users
    ]
    gamma = [
        config.gamma
        if user.artist_discount_gamma is None
        else user.artist_discount_gamma
        for user in users
    ]
    return World(
        embeddings=embeddings,
        artist=_number([track.artist for track in tracks]),
        interests=np.array(interests, dtype=np.int64),
        interest_offsets=np.cumsum([0, *interest_counts], dtype=np.int64),
        interest_neighbours=np.array(neighbours, dtype=np.int64),
        consume_bias=np.array([user.consume_bias for user in users]),
        consume_sharpness=np.array([user.consume_sharpness for user in users]),
        session_budget=np.array([user.session_budget for user in users]),
        gamma=np.array(gamma),
        catalogue_sha256=sha256_file(folder / TRACKS_FILE),
        sha256=world_digest(folder),
        response=config.response,
        seed=config.seed,
    )


def world_digest(folder: Path) -> str:
    """Return one SHA-256 over all of a world's files."""
    files = [folder / name for name in WORLD_FILES]
    lines = [f"{file.name} {sha256_file(file)}\n" for file in files if file.exists()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_numbered(path: Path, model: type[_AnyRecord], key: str) -> list[_AnyRecord]:
    """Read records whose ids are 0..n-1 in order."""
    records: list[_AnyRecord] = []
    try:
        with path.open("rb") as file:
            for content in file:
                record = model.model_validate_json(content)
                found = getattr(record, key)
                if found != len(records):
                    raise SimError(
                        f"{path}:{len(records) + 1}: {key} {found} found, "
                        f"{len(records)} expected: ids must be 0..n-1 in order"
                    )
                records.append(record)
    except OSError as error:
        raise SimError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise SimError(f"{path}:{len(records) + 1}: {_first_fault(error)}") from None
    if not records:
        raise SimError(f"{path}: holds no {key}s")
    return records


def _number(names: Sequence[str | int]) -> IntArray:
    """Number names; equal ones get the same number."""
    numbers: IntArray = np.unique(np.array(names, np.str_), return_inverse=True)[1]
    return numbers


def _check_interests(path: Path, users: list[_UserRecord], tracks: int) -> None:
    for line, user in enumerate(users, start=1):
        interest = max(user.interests)
        if interest >= tracks:
            raise SimError(
                f"{path}:{line}: interest {interest} is no track; "
                f"the catalogue has 0..{tracks - 1}"
            )


def _first_fault(error: ValidationError) -> str:
    """Return what is wrong with a record, in one line."""
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in detail["loc"])
    return f"{key}: {detail['msg']}" if key else detail["msg"]


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
