"""A world's files, written or read: `tracks.json`, `tracks.npy`, `users.json`, `world.yaml` where there is one."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self, TypeVar

import numpy as np
import orjson
from annotated_types import Gt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.config import Config, Count, load_config
from looplib.files import atomic_directory, sha256_file
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
CONFIG_FILE = "world.yaml"
FIT_FILE = "fit.yaml"  # instead, of a fitted world

FinitePositive = Annotated[FiniteFloat, Gt(0)]
Records = Iterable[Mapping[str, object]]


@dataclass(frozen=True)
class World:
    """A world as the listening model needs it: arrays by track id, by listener id, and all interests in one row."""

    embeddings: Float32Array  # (tracks, dimensions)
    artist: IntArray  # (tracks,), one number an artist
    interests: IntArray  # track ids, listener after listener
    # (listeners + 1,): listener u has interests[offsets[u]:offsets[u + 1]]
    interest_offsets: IntArray
    interest_neighbours: (
        IntArray  # (listeners,), tracks around an interest that can be organic
    )
    consume_bias: FloatArray  # (listeners,)
    consume_sharpness: FloatArray  # (listeners,)
    session_budget: IntArray  # (listeners,)
    gamma: FloatArray  # (listeners,), factor for each earlier track of an artist
    catalogue_sha256: str  # of tracks.json
    sha256: str  # of all files
    response: ResponseConfig = field(default_factory=ResponseConfig)
    # of the interests; None: all of a listener's are equally likely
    interest_weights: FloatArray | None = None
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
    """What sessions need to know of a world's configuration, be it drawn or fitted."""

    model_config = ConfigDict(extra="ignore")
    seed: int = 0
    gamma: float = DEFAULT_GAMMA
    response: ResponseConfig = ResponseConfig()


class Record(BaseModel):
    """A line of a file; what else it says is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class TrackRecord(Record):
    """A line of `tracks.json`, or of a catalogue with any ids; what else it says is passed over."""

    track: int | str
    artist: int | str
    title: int | str | None = None


class UserRecord(Record):
    """A line of `users.json`; what is missing takes the original service's defaults."""

    user: int
    interests: list[NonNegativeInt] = Field(min_length=1)
    interest_weights: list[FinitePositive] | None = None
    interest_neighbours: Count | None = None
    consume_bias: FiniteFloat = DEFAULT_CONSUME_BIAS
    consume_sharpness: FiniteFloat = Field(default=DEFAULT_CONSUME_SHARPNESS, gt=0)
    session_budget: Count = DEFAULT_SESSION_BUDGET
    artist_discount_gamma: FiniteFloat | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _has_a_weight_for_each_interest(self) -> Self:
        if self.interest_weights and len(self.interest_weights) != len(self.interests):
            raise ValueError(
                f"{len(self.interest_weights)} interest_weights for {len(self.interests)} interests"
            )
        return self


AnyRecord = TypeVar("AnyRecord", bound=Record)


def load_world(folder: Path) -> World:
    """Read a world, ours or in the original course service's files.

    Raises:
        SimError: A file is missing, a line is torn or out of order, or the files contradict each
            other; the message names the file and the line.
    """
    numbers: dict[str | int, int] = {}  # of the artists, as they first appear
    tracks = _read_numbered(folder / TRACKS_FILE, TrackRecord, "track")
    embeddings = _read_embeddings(folder / EMBEDDINGS_FILE, len(tracks))
    users = _read_numbered(folder / USERS_FILE, UserRecord, "user")
    for line, user in enumerate(users, start=1):
        if (interest := max(user.interests)) >= len(tracks):
            found = f"interest {interest} is no track; the catalogue has 0..{len(tracks) - 1}"
            raise SimError(f"{folder / USERS_FILE}:{line}: {found}")
    settings = [
        folder / name for name in (CONFIG_FILE, FIT_FILE) if (folder / name).exists()
    ]
    config = load_config(_Settings, settings[0] if settings else None)
    neighbours = [
        user.interest_neighbours or config.response.organic_neighbours for user in users
    ]
    weights = [
        weight
        for user in users
        for weight in user.interest_weights or [1.0] * len(user.interests)
    ]
    is_weighted = any(user.interest_weights for user in users)
    gammas = [
        config.gamma
        if user.artist_discount_gamma is None
        else user.artist_discount_gamma
        for user in users
    ]
    return World(
        embeddings=embeddings,
        artist=np.array(
            [numbers.setdefault(track.artist, len(numbers)) for track in tracks],
            dtype=np.int64,
        ),
        interests=np.array(
            [track for user in users for track in user.interests], dtype=np.int64
        ),
        interest_offsets=np.cumsum(
            [0, *(len(user.interests) for user in users)], dtype=np.int64
        ),
        interest_neighbours=np.array(neighbours, dtype=np.int64),
        consume_bias=np.array([user.consume_bias for user in users], dtype=np.float64),
        consume_sharpness=np.array(
            [user.consume_sharpness for user in users], dtype=np.float64
        ),
        session_budget=np.array(
            [user.session_budget for user in users], dtype=np.int64
        ),
        gamma=np.array(gammas, dtype=np.float64),
        catalogue_sha256=sha256_file(folder / TRACKS_FILE),
        sha256=world_digest(folder),
        response=config.response,
        interest_weights=np.array(weights) if is_weighted else None,
        seed=config.seed,
    )


@contextmanager
def new_world(
    folder: Path, tracks: Records, users: Records, embeddings: Float32Array
) -> Iterator[Path]:
    """Write the files that every world has to a folder that becomes `folder` at the end of the block."""
    try:
        with atomic_directory(folder) as new:
            for name, records in ((TRACKS_FILE, tracks), (USERS_FILE, users)):
                lines = [
                    orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
                    for record in records
                ]
                (new / name).write_bytes(b"".join(lines))
            np.save(new / EMBEDDINGS_FILE, embeddings)
            yield new
    except OSError as error:
        raise SimError(
            f"{folder}: cannot be written ({error.strerror or error})"
        ) from None


def world_digest(folder: Path) -> str:
    """Return one SHA-256 over all of a world's files."""
    files = [
        folder / name
        for name in (TRACKS_FILE, EMBEDDINGS_FILE, USERS_FILE, CONFIG_FILE, FIT_FILE)
    ]
    lines = [f"{file.name} {sha256_file(file)}\n" for file in files if file.exists()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_records(path: Path, model: type[AnyRecord]) -> Iterator[tuple[int, AnyRecord]]:
    """Yield line numbers, from 1, and the lines' records.

    Raises:
        SimError: The file cannot be read, or a line is not such a record.
    """
    try:
        with path.open("rb") as file:
            for line, content in enumerate(file, start=1):
                yield line, model.model_validate_json(content)
    except OSError as error:
        raise SimError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise SimError(f"{path}:{line}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """Return what is wrong with a record, in one line."""
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in detail["loc"])
    return f"{key}{': ' if key else ''}{detail['msg'].removeprefix('Value error, ')}"


def _read_numbered(path: Path, model: type[AnyRecord], key: str) -> list[AnyRecord]:
    """Read records whose ids are 0..n-1 in order."""
    records = []
    for line, record in read_records(path, model):
        if (found := getattr(record, key)) != line - 1:
            raise SimError(
                f"{path}:{line}: {key} {found!r} found, {line - 1} expected: ids must be 0..n-1 in order"
            )
        records.append(record)
    if not records:
        raise SimError(f"{path}: holds no {key}s")
    return records


def _read_embeddings(path: Path, tracks: int) -> Float32Array:
    try:
        embeddings = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SimError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        found = f"{embeddings.dtype} {embeddings.shape}"
        raise SimError(
            f"{path}: a numeric (tracks, dimensions) array is expected, found {found}"
        )
    if len(embeddings) != tracks:
        raise SimError(
            f"{path}: {len(embeddings)} embeddings found, but {TRACKS_FILE} holds {tracks} tracks"
        )
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise SimError(
            f"{path}: the embedding of track {int(np.argmin(finite))} holds NaN or infinite numbers"
        )
    return np.ascontiguousarray(embeddings, dtype=np.float32)
