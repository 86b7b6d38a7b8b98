"""The split and the interactions, against plain Python that walks the events."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import queries
from analysis.store import PartitionFile
from looplib.files import sha256_file
from recsys.config import Feedback, Split
from recsys.dataset.layout import Piece, piece_file
from recsys.dataset.partitions import find_cutoff, prepare_partition
from recsys.dataset.split import SplitRule
from recsys.errors import SplitError
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


def read_pairs(folder: Path, piece: Piece, column: str) -> Pairs:
    content = piece_file(folder, piece, 0).read_bytes()
    rows = pa.ipc.open_file(content).read_all().to_pylist()
    return {(row["user"], row["track"]): row[column] for row in rows if row[column]}


def stored(files: Iterable[Path]) -> tuple[str, tuple[PartitionFile, ...]]:
    """Files of one folder as partition 0 of a store: its address and parts."""
    files = list(files)
    return str(files[0].parent), tuple(
        PartitionFile(file.name, 0, 0, file.stat().st_size, sha256_file(file))
        for file in files
    )


def prepare(
    folder: Path,
    sessions: list[Session],
    rule: SplitRule = HASH,
    feedback: Feedback | None = None,
) -> dict[str, int]:
    part = write_part(folder / "part.parquet", sessions)
    return prepare_partition(*stored([part]), str(folder), rule, feedback or Feedback())


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("feedback", [Feedback(), Feedback(min_time=0.5)])
def test_interactions_are_the_sums_of_each_side(
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
    expected: Pairs = {}
    for session in held:
        for track, time in session.heard:
            if time > 0:
                expected[session.user, track] = max(
                    time, expected.get((session.user, track), 0)
                )
    assert read_pairs(tmp_path, "heldout", "time") == pytest.approx(expected)
    assert counts == {
        "events": sum(len(session.heard) for session in sessions),
        "heldout_events": sum(len(session.heard) for session in held),
        "sessions": len(sessions),
        "heldout_sessions": len(held),
    }


def test_a_share_of_the_sessions_is_held_out_and_another_seed_holds_out_others(
    tmp_path: Path,
) -> None:
    sessions = random_sessions(3, listeners=50, tracks=30, sessions=2000)
    held = {
        seed: frozenset(
            session.name
            for session in sessions
            if held_by_hash(session, SplitRule(HASH.split, seed))
        )
        for seed in (7, 8)
    }
    counts = prepare(tmp_path, sessions)
    assert counts["heldout_sessions"] == len(held[7])
    assert counts["heldout_sessions"] == pytest.approx(
        600, abs=4 * np.sqrt(2000 * 0.3 * 0.7)
    )
    assert held[7] != held[8]


def test_the_last_session_is_held_out_of_listeners_with_two(tmp_path: Path) -> None:
    sessions = [
        Session(1, START_MS, [(1, 1.0), (2, 0.5)]),
        Session(1, START_MS + 10 * HALF_HOUR_MS, [(3, 1.0), (4, 0.5)]),
        Session(2, START_MS, [(5, 1.0), (6, 0.5)]),
    ]
    prepare(tmp_path, sessions, SplitRule(Split(kind="last_session"), seed=1))
    assert read_pairs(tmp_path, "heldout", "time") == {
        (1, 3): 1.0,
        (1, 4): 0.5,
    }
    assert read_pairs(tmp_path, "interactions", "training") == {
        (1, 1): 1.0,
        (1, 2): 0.5,
        (2, 5): 1.0,
        (2, 6): 0.5,
    }


def test_by_time_whole_sessions_that_begin_from_the_cutoff_on_are_held_out(
    tmp_path: Path,
) -> None:
    sessions = [
        Session(1, START_MS, [(1, 1.0), (2, 0.5)]),
        Session(2, START_MS + 60_000, [(3, 1.0), (4, 0.5)]),
    ]
    prepare(
        tmp_path,
        sessions,
        SplitRule(Split(kind="time"), seed=1, cutoff_ms=START_MS + 500),
    )
    assert read_pairs(tmp_path, "heldout", "time") == {
        (2, 3): 1.0,
        (2, 4): 0.5,
    }


@pytest.mark.parametrize(
    ("gap_ms", "sessions"),
    [(HALF_HOUR_MS, 1), (HALF_HOUR_MS + 1, 2)],
    ids=["half an hour", "longer"],
)
def test_without_a_name_a_session_ends_after_half_an_hour_of_silence(
    tmp_path: Path, gap_ms: int, sessions: int
) -> None:
    first = Session(1, START_MS, [(1, 1.0), (2, 0.5), (3, 0.5)])
    part = write_part(tmp_path / "a.parquet", [first])
    table = pq.read_table(part)
    later = table.set_column(
        1, "timestamp", [[START_MS, START_MS + gap_ms, START_MS + gap_ms + 1000]]
    )
    pq.write_table(later, part)
    counts = prepare_partition(*stored([part]), str(tmp_path), HASH, Feedback())
    assert counts["sessions"] == sessions


def test_without_a_name_a_session_ends_after_last_however_soon_the_next_begins(
    tmp_path: Path,
) -> None:
    sessions = [
        Session(1, START_MS, [(1, 1.0), (2, 0.5)]),
        Session(1, START_MS + 1500, [(3, 1.0), (4, 0.5)]),
    ]
    assert prepare(tmp_path, sessions)["sessions"] == 2


def test_without_a_name_what_begins_at_the_same_millisecond_is_one_session(
    tmp_path: Path,
) -> None:
    sessions = [Session(1, START_MS, [(1, 1.0)]), Session(1, START_MS, [(2, 0.5)])]
    rule = SplitRule(Split(kind="time"), seed=1, cutoff_ms=START_MS)
    assert prepare(tmp_path, sessions, rule) == dict.fromkeys(
        ("events", "heldout_events"), 2
    ) | dict.fromkeys(("sessions", "heldout_sessions"), 1)


def test_named_sessions_of_a_listener_may_overlap(tmp_path: Path) -> None:
    sessions = [
        Session(1, START_MS, [(1, 1.0), (2, 0.5)], "a"),
        Session(1, START_MS + 500, [(3, 1.0), (4, 0.5)], "b"),
    ]
    assert prepare(tmp_path, sessions)["sessions"] == 2


def test_the_parts_of_a_partition_may_come_in_any_number_and_order(
    tmp_path: Path,
) -> None:
    sessions = random_sessions(4, listeners=9, tracks=30, sessions=100, named=False)
    files = []
    for name, parts in (
        ("one", [sessions]),
        ("many", [sessions[60:], sessions[:30], sessions[30:60]]),
    ):
        folder = tmp_path / name
        folder.mkdir()
        written = [
            write_part(folder / f"{number}.parquet", part)
            for number, part in enumerate(parts)
        ]
        prepare_partition(*stored(written), str(folder), HASH, Feedback())
        files.append([file.read_bytes() for file in sorted(folder.glob("*-000.arrow"))])
    assert len(files[0]) == 6
    assert files[0] == files[1]


def test_a_session_on_both_sides_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check itself: a split that leaks, here by holding out single events, must not come
    through."""
    leaking = queries.statement("sessions/split_events").replace(
        "number, heldout\nFROM", "number, track % 2 = 0 AS heldout\nFROM"
    )
    original = queries.statement
    replaced: Callable[[str], str] = lambda name: (  # noqa: E731  a stand-in
        leaking if name == "sessions/split_events" else original(name)
    )
    monkeypatch.setattr(queries, "statement", replaced)
    with pytest.raises(SplitError, match="partition 0: 1 sessions are in both splits"):
        prepare(tmp_path, [Session(1, START_MS, [(1, 1.0), (2, 0.5)])])


@pytest.mark.parametrize(
    ("counts", "holdout", "cutoff"),
    [
        ({10: 85, 11: 15}, 0.15, 11),
        (
            {10: 84, 11: 16},
            0.15,
            12,
        ),  # the newest minute alone would be too many: none is held out
        ({10: 50, 12: 40, 13: 5, 14: 5}, 0.15, 13),
        ({14: 5, 10: 50, 13: 5, 12: 40}, 0.15, 13),
    ],
)
def test_the_cutoff_holds_out_at_most_the_share(
    counts: dict[int, int], holdout: float, cutoff: int
) -> None:
    minutes = list(counts.items())
    starts = [
        pa.table(
            {"minute": [minute for minute, _ in part], "sessions": [n for _, n in part]}
        )
        for part in (minutes[:1], minutes[1:])
    ]
    assert find_cutoff(starts, holdout) == cutoff * 60_000
