"""The split and the interactions, against plain Python that walks the events."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import queries
from analysis.store import StoreFile
from looplib.files import sha256_file
from recsys.config import Feedback, Split
from recsys.dataset.partitions import attach_sessions, find_cutoff, prepare_partition
from recsys.dataset.split import SplitRule
from tests.recsys.logs import START_MS, Session, random_sessions, write_part

HALF_HOUR_MS = 30 * 60 * 1000
HASH = SplitRule(Split(holdout=0.3), seed=7)
Pairs = dict[tuple[int, int], float]


def session_name(session: Session) -> str:
    return session.name or f"@{session.start_ms}"


def held_by_hash(session: Session, rule: SplitRule) -> bool:
    text = f"{rule.seed} {session.user} {session_name(session)}"
    drawn = int.from_bytes(
        hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little"
    )
    return drawn / 2**64 < rule.split.holdout


def sums(sessions: Iterable[Session], feedback: Feedback) -> Pairs:
    total: Pairs = defaultdict(float)
    for session in sessions:
        for track, time in session.heard:
            if time > 0 and time >= feedback.min_time:
                total[session.user, track] += time
    return dict(total)


def read_pairs(folder: Path, piece: str, column: str) -> Pairs:
    content = (folder / f"{piece}-000.arrow").read_bytes()
    rows = pa.ipc.open_file(content).read_all().to_pylist()
    return {(row["user"], row["track"]): row[column] for row in rows if row[column]}


def prepare_files(
    folder: Path, files: list[Path], rule: SplitRule, feedback: Feedback
) -> dict[str, int]:
    stored = [
        StoreFile(file.name, 0, 0, file.stat().st_size, sha256_file(file))
        for file in files
    ]
    return prepare_partition(str(folder), stored, str(folder), rule, feedback)


def prepare(
    folder: Path,
    *parts: list[Session],
    rule: SplitRule = HASH,
    feedback: Feedback | None = None,
) -> dict[str, int]:
    """Prepare a partition of some parts, with all its files in a folder."""
    folder.mkdir(exist_ok=True)
    files = [
        write_part(folder / f"{number}.parquet", part)
        for number, part in enumerate(parts)
    ]
    return prepare_files(folder, files, rule, feedback or Feedback())


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("feedback", [Feedback(), Feedback(min_time=0.5)])
def test_interactions_are_the_sums_of_each_split(
    tmp_path: Path, named: bool, feedback: Feedback
) -> None:
    sessions = random_sessions(1, listeners=9, tracks=30, sessions=200, named=named)
    prepare(tmp_path, sessions, feedback=feedback)
    training = [session for session in sessions if not held_by_hash(session, HASH)]
    for split, part in (("training", training), ("all", sessions)):
        pairs = read_pairs(tmp_path, "interactions", split)
        assert pairs == pytest.approx(sums(part, feedback), rel=1e-6)


def test_held_out_listening_is_the_longest_hearing_in_held_out_sessions(
    tmp_path: Path,
) -> None:
    sessions = random_sessions(2, listeners=9, tracks=30, sessions=200)
    counts = prepare(tmp_path, sessions)
    held = [session for session in sessions if held_by_hash(session, HASH)]
    longest: Pairs = defaultdict(float)
    for session in held:
        for track, time in session.heard:
            longest[session.user, track] = max(time, longest[session.user, track])
    expected = {pair: time for pair, time in longest.items() if time}
    assert read_pairs(tmp_path, "heldout", "time") == pytest.approx(expected)
    assert counts == {
        "events": sum(len(session.heard) for session in sessions),
        "heldout_events": sum(len(session.heard) for session in held),
        "sessions": len(sessions),
        "heldout_sessions": len(held),
    }


@pytest.mark.parametrize(
    ("rule", "heldout"),
    [
        # listeners with at least two sessions
        (SplitRule(Split(kind="last_session"), seed=1), {2}),
        # whole sessions that begin then or later
        (SplitRule(Split(kind="time"), seed=1, cutoff_ms=START_MS + 500), {2, 3}),
    ],
    ids=["the last session", "by time"],
)
def test_sessions_are_held_out_whole(
    tmp_path: Path, rule: SplitRule, heldout: set[int]
) -> None:
    starts = {1: (1, 0), 2: (1, 10 * HALF_HOUR_MS), 3: (2, 60_000)}
    sessions = {
        number: Session(user, START_MS + start_ms, [(number, 1.0), (10 + number, 0.5)])
        for number, (user, start_ms) in starts.items()
    }
    prepare(tmp_path, [*sessions.values()], rule=rule)
    for piece, column, numbers in (
        ("heldout", "time", heldout),
        ("interactions", "training", sessions.keys() - heldout),
    ):
        part = [sessions[number] for number in numbers]
        assert read_pairs(tmp_path, piece, column) == sums(part, Feedback())


@pytest.mark.parametrize(
    ("starts_ms", "more", "sessions"),
    [
        # half an hour of silence, and longer
        ([0, HALF_HOUR_MS], [{}, {}], 1),
        ([0, HALF_HOUR_MS + 1], [{}, {}], 2),
        # two plays at the same millisecond
        ([0, 0], [{}, {}], 1),
        # named sessions may overlap
        ([0, 0], [{"session": "s"}, {"session": "t"}], 2),
        ([0, 1500], [{"message": "last"}, {"message": "last"}], 2),
        (
            [0, 1500, 3000],
            [{"organic": True}, {"organic": False}, {"organic": True}],
            2,
        ),
        (
            [0, HALF_HOUR_MS + 1, HALF_HOUR_MS + 2],
            [{"session": "s", "organic": track != 1} for track in range(3)],
            2,
        ),
    ],
)
def test_a_session_has_a_name_or_ends_after_last_or_silence_and_begins_with_organic_plays(
    tmp_path: Path, starts_ms: list[int], more: list[dict[str, Any]], sessions: int
) -> None:
    plays = [
        {"user": 1, "timestamp": START_MS + start_ms, "track": track, "share": 1.0}
        | known
        for track, (start_ms, known) in enumerate(zip(starts_ms, more, strict=True))
    ]
    part = tmp_path / "0.parquet"
    pq.write_table(pa.Table.from_pylist(plays), part)
    counts = prepare_files(tmp_path, [part], HASH, Feedback())
    assert counts["sessions"] == sessions


@pytest.mark.parametrize(
    "kind", ["session_hash", "newest", "last_session", "time", "files"]
)
def test_no_session_is_in_both_splits_and_no_play_is_lost(
    tmp_path: Path, kind: str
) -> None:
    generator = np.random.default_rng(3)
    plays = [
        {
            "user": user,
            "timestamp": START_MS + int(generator.integers(10**9)),
            "track": track,
            "share": 1.0,
            "session": f"s{number}",
            "source": ("test", "train")[number % 2],
        }
        for track in range(900)
        for user, number in [generator.integers(9, size=2).tolist()]
    ]
    part = tmp_path / "0.parquet"
    pq.write_table(pa.Table.from_pylist(plays), part)
    files: dict[str, Any] = (
        {"train": ["train"], "test": ["test"]} if kind == "files" else {}
    )
    split = Split.model_validate({"kind": kind, "holdout": 0.4, **files})
    rule = SplitRule(
        split,
        seed=1,
        cutoff_ms=START_MS + 10**8,
        train=tuple(split.train),
        test=tuple(split.test),
    )
    with queries.connect() as connection:
        attach_sessions(connection, [part], rule)
        table = queries.fetch_table(connection, "sessions/split_plays")
    rows = table.to_pylist()
    assert sorted(row["track"] for row in rows) == [*range(900)]
    splits = defaultdict(set)
    for row in rows:
        splits[row["user"], plays[row["track"]]["session"]].add(row["heldout"])
    assert {len(values) for values in splits.values()} == {1}
    assert set().union(*splits.values()) == {True, False}


def test_the_parts_of_a_partition_may_come_in_any_number_and_order(
    tmp_path: Path,
) -> None:
    sessions = random_sessions(4, listeners=9, tracks=30, sessions=100, named=False)
    prepare(tmp_path / "one", sessions)
    prepare(tmp_path / "many", sessions[60:], sessions[:30], sessions[30:60])
    one, many = (
        [file.read_bytes() for file in sorted((tmp_path / name).glob("*-000.arrow"))]
        for name in ("one", "many")
    )
    assert len(one) == 4
    assert one == many


@pytest.mark.parametrize(
    ("sessions", "holdout", "cutoff"),
    [
        ({10: 85, 11: 15}, 0.15, 11),
        # the newest minute alone would be too many: none is held out
        ({10: 84, 11: 16}, 0.15, 12),
        ({10: 50, 12: 40, 13: 5, 14: 5}, 0.15, 13),
        ({14: 5, 10: 50, 13: 5, 12: 40}, 0.15, 13),
    ],
)
def test_the_cutoff_holds_out_at_most_the_share(
    sessions: dict[int, int], holdout: float, cutoff: int
) -> None:
    starts = [
        pa.table({"minute": [minute], "sessions": [count]})
        for minute, count in sessions.items()
    ]
    assert find_cutoff(starts, holdout) == cutoff * 60_000
