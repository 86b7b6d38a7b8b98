"""What a fit starts from, checked: a table or an event log, the factors of an export, a catalogue's texts."""

import csv
import gzip
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from looplib.arrays import FloatArray, IntArray
from looplib.untrusted import open_untrusted
from sim.errors import SimError
from sim.figures import Heard
from sim.worlds.files import Record, TrackRecord, first_fault, read_records

FACTORS_FILE = "factors.npz"
LOG_SUFFIX = ".jsonl"
_LARGEST_WEIGHT = 1e15  # so that sums of squares stay numbers

Ids = list[int] | list[str]
Texts = list[tuple[str | int, str | int]]  # artist and title of each track


@dataclass(frozen=True)
class Factors:
    """Ids, and the tracks' factors."""

    users: Ids
    tracks: Ids
    item_factors: FloatArray  # (tracks, factors)


@dataclass(frozen=True)
class ListeningTable:
    """Weights above 0 of different pairs, by user and then by track."""

    users: int
    tracks: int
    user: IntArray  # (pairs,) ascending
    track: IntArray  # (pairs,)
    weight: FloatArray  # (pairs,)

    @classmethod
    def of(
        cls,
        users: int,
        tracks: int,
        user: IntArray,
        track: IntArray,
        weight: FloatArray | None = None,
    ) -> "ListeningTable":
        """Add up the weights of equal pairs, 1 each by default, and leave out pairs without weight."""
        pair, position = np.unique(user * tracks + track, return_inverse=True)
        sums = np.bincount(position, weights=weight, minlength=len(pair)).astype(
            np.float64
        )
        pair, sums = pair[sums > 0], sums[sums > 0]
        return cls(users, tracks, pair // tracks, pair % tracks, sums)

    def offsets(self) -> IntArray:
        """Return where each user's pairs begin (users + 1,)."""
        return np.searchsorted(self.user, np.arange(self.users + 1))

    def popularity(self) -> FloatArray:
        """Return the weight of each track (tracks,)."""
        return np.bincount(
            self.track, weights=self.weight, minlength=self.tracks
        ).astype(np.float64)

    def shares(self) -> "ListeningTable":
        """Return the table in which each listener's weights add up to 1."""
        totals = np.bincount(self.user, weights=self.weight, minlength=self.users)
        return replace(self, weight=self.weight / totals[self.user])

    def only(self, users: IntArray) -> "ListeningTable":
        """Return the table of some users, ascending, who are numbered anew in this order."""
        number = np.full(self.users, -1)
        number[users] = np.arange(len(users))
        kept = number[self.user] >= 0
        return ListeningTable(
            len(users),
            self.tracks,
            number[self.user[kept]],
            self.track[kept],
            self.weight[kept],
        )


class _Play(BaseModel):
    """A row of a file; other columns are passed over."""

    user: str
    track: str
    weight: float = Field(ge=0, le=_LARGEST_WEIGHT)


def read_table(files: Sequence[Path], user_ids: Ids, track_ids: Ids) -> ListeningTable:
    """Read the interactions of some CSV files together; users and tracks are numbered in the order of their ids."""
    users, tracks = (
        {str(own_id): number for number, own_id in enumerate(ids)}
        for ids in (user_ids, track_ids)
    )
    user, track, weight = array("q"), array("q"), array("d")
    for path in files:
        before = len(user)
        for line, play in _read_plays(path):
            if play.user not in users:
                raise SimError(
                    f"{path}:{line}: user {play.user!r} is not in the export's factors"
                )
            if play.track not in tracks:
                raise SimError(
                    f"{path}:{line}: track {play.track!r} is not in the export's factors"
                )
            user.append(users[play.user])
            track.append(tracks[play.track])
            weight.append(play.weight)
        if len(user) == before:
            raise SimError(f"{path}: holds no interactions")
    columns = (
        np.frombuffer(user, np.int64),
        np.frombuffer(track, np.int64),
        np.frombuffer(weight, np.float64),
    )
    table = ListeningTable.of(len(users), len(tracks), *columns)
    if not len(table.weight):
        raise SimError(
            f"{', '.join(map(str, files))}: every weight is 0; some above 0 are needed"
        )
    return table


def _read_plays(path: Path) -> Iterator[tuple[int, _Play]]:
    """Yield the rows of a CSV file, each with its line number."""
    line = 1
    try:
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as text:
            reader = csv.DictReader(text, restkey="", strict=True)
            for record in reader:
                line = reader.line_num
                if "" in record:
                    raise SimError(f"{path}:{line}: more values than columns")
                yield line, _Play.model_validate(record)
    except ValidationError as error:
        raise SimError(f"{path}:{line}: {first_fault(error)}") from None
    except csv.Error as error:
        raise SimError(f"{path}: not CSV after line {line} ({error})") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SimError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None


def find_factors(export: Path) -> Path:
    """Return the file of factors of a published version, or of the current one of a folder of versions."""
    for file in (export / FACTORS_FILE, export / "current" / FACTORS_FILE):
        if file.is_file():
            return file
    raise SimError(
        f"{export}: no {FACTORS_FILE} here, nor in current/; name a folder of recsys.export"
    )


def read_factors(path: Path) -> Factors:
    """Read a file of factors."""
    try:
        with (
            open_untrusted(path, error=SimError) as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            users, tracks, factors = (
                arrays["users"],
                arrays["tracks"],
                arrays["item_factors"],
            )
    except (
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        EOFError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise SimError(
            f"{path}: not a readable file of NumPy arrays ({error})"
        ) from None
    for name, ids in (("users", users), ("tracks", tracks)):
        if (
            ids.ndim != 1
            or ids.dtype.kind not in "iuU"
            or not len(ids)
            or len(np.unique(ids)) < len(ids)
        ):
            raise SimError(
                f"{path}: {name}: different ids are expected, found {ids.dtype} {ids.shape}"
            )
    if (
        factors.ndim != 2
        or factors.dtype.kind != "f"
        or len(factors) != len(tracks)
        or not factors.shape[1]
    ):
        expected = f"floats ({len(tracks)}, factors) expected"
        raise SimError(
            f"{path}: item_factors: {expected}, found {factors.dtype} {factors.shape}"
        )
    finite = np.isfinite(factors).all(axis=1)
    if not finite.all():
        raise SimError(
            f"{path}: the factors of track {tracks[np.argmin(finite)]} hold NaN or infinity"
        )
    return Factors(users.tolist(), tracks.tolist(), factors.astype(np.float64))


def read_texts(path: Path | None, tracks: Sequence[int] | Sequence[str]) -> Texts:
    """Read artists and titles of some tracks from a catalogue, which may hold more.

    Without a catalogue every track is by an artist of its own, so that no hearing is shortened for
    the artist's sake.
    """
    if path is None:
        return [(f"artist of {track}", str(track)) for track in tracks]
    records = {
        str(record.track): record for _, record in read_records(path, TrackRecord)
    }
    if missing := [track for track in tracks if str(track) not in records]:
        raise SimError(
            f"{path}: {len(missing):,} tracks of the factors are not in it, {missing[0]!r} for one"
        )
    found = (records[str(track)] for track in tracks)
    return [(record.artist, record.title or str(record.track)) for record in found]


class _Event(Record):
    """A line of an event log; what else it says is passed over."""

    user: int | str
    track: int | str
    time: float = Field(ge=0, le=1)
    timestamp: int
    session: str


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return files of one kind: tables, or event logs, which folders stand for."""
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob(f"*{LOG_SUFFIX}")) if path.is_dir() else [path])
    ]
    if not files or len({file.suffix == LOG_SUFFIX for file in files}) > 1:
        found = ", ".join(map(str, paths))
        raise SimError(
            f"{found}: tables are expected, or event logs, files of {LOG_SUFFIX} or folders of them"
        )
    return files


def read_log(files: Sequence[Path], user_ids: Ids, track_ids: Ids) -> Heard:
    """Read the sessions of event logs, by listener; users and tracks are numbered in the order of their ids."""
    users, tracks = (
        {str(own_id): number for number, own_id in enumerate(ids)}
        for ids in (user_ids, track_ids)
    )
    sessions: dict[tuple[int, str], int] = {}
    user, session, moment, track, hundredths = (array("q") for _ in range(5))
    for file in files:
        for line, event in read_records(file, _Event):
            for name, known, found in (
                ("user", users, str(event.user)),
                ("track", tracks, str(event.track)),
            ):
                if found not in known:
                    raise SimError(
                        f"{file}:{line}: {name} {found!r} is not in the export's factors"
                    )
            user.append(users[str(event.user)])
            session.append(
                sessions.setdefault((user[-1], event.session), len(sessions))
            )
            moment.append(event.timestamp)
            track.append(tracks[str(event.track)])
            hundredths.append(round(100 * event.time))
    if len(user) == len(sessions):
        lacks = "no recommended track was heard" if len(user) else "no events"
        raise SimError(f"{', '.join(map(str, files))}: {lacks}")
    columns = [
        np.frombuffer(column, np.int64)
        for column in (user, session, moment, track, hundredths)
    ]
    who, which, _, heard, shares = np.stack(columns)[
        :, np.lexsort((columns[2], columns[1], columns[0]))
    ]
    first = np.flatnonzero(np.append(True, np.diff(which) != 0))
    return Heard(who[first], np.diff(np.append(first, len(which))), heard, shares)
