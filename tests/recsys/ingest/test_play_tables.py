"""Plays of your own with shares are stored in their order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.store import Store
from recsys.store.ids import Title, read_titles
from tests.conftest import Run
from tests.recsys.events import event, read_rows, rows_by_original_id, write_log
from tests.recsys.tables import (
    Row,
    ingest_rows,
    ingest_tables,
    rejects_of,
    write_csv,
)

COLUMNS = "listener=uid,track=song,share=heard,played_at=ts"
MINUTE = 60_000
START_MS = 1_700_000_000_000


def play(
    user: object, song: object, heard: object, minute: float, **more: object
) -> Row:
    return {
        "uid": user,
        "song": song,
        "heard": heard,
        "ts": START_MS + round(minute * MINUTE),
        **more,
    }


def ingest_plays(folder: Path, rows: Sequence[Row], columns: str = "") -> Store:
    """Ingest plays with some more columns."""
    return ingest_rows(folder, rows, COLUMNS + columns)


def read_plays(store: Store, *names: str) -> list[tuple[Any, ...]]:
    """Some values of the plays of a store, by listener and time."""
    rows = rows_by_original_id(store)
    rows.sort(key=lambda row: (row["user"], row["timestamp"]))
    return [tuple(row[name] for name in names) for row in rows]


def test_plays_are_stored_as_they_are(tmp_path: Path) -> None:
    rows = [
        play("a", "x", 1.0, 0),
        play("b", "z", 0.25, 5),
        play("a", "y", 0.5, 3),
        play("a", "z", 0.0, 33),
        play("a", "x", 0.75, 63.001),
    ]
    store = ingest_plays(tmp_path, rows)
    plays = read_plays(store, "user", "timestamp", "track", "share")
    assert plays == sorted(
        (row["uid"], row["ts"], row["song"], row["heard"]) for row in rows
    )
    assert store.manifest.columns == ("user", "item", "timestamp", "share")


def test_who_chose_or_disliked_a_play_and_its_propensity_are_kept(
    tmp_path: Path,
) -> None:
    flags = [(1, None, 0), (0, 0.5, 1), (0, None, 0), (1, 0.25, 1), (0, 0.125, 0)]
    rows = [
        play("a", f"s{number}", 0.5, number, organic=flag, chance=chance, no=no)
        for number, (flag, chance, no) in enumerate(flags)
    ]
    more = ",organic=organic,propensity=chance,disliked=no"
    store = ingest_plays(tmp_path, rows, more)
    assert read_plays(store, "organic", "propensity", "disliked") == flags
    asked = store.sql("SELECT disliked FROM plays ORDER BY played_at").fetchall()
    assert asked == [(no,) for _, _, no in flags]


def test_named_sessions_without_timestamps_keep_the_order_of_their_rows_or_of_their_positions(
    tmp_path: Path,
) -> None:
    rows = [
        {"uid": 7, "song": song, "heard": 1, "visit": visit, "at": at}
        for song, visit, at in [
            (5, "b", 2),
            (4, "a", 1),
            (3, "b", 1),
            (9, "a", 2),
            (2, "b", 10),
        ]
    ]
    file = write_csv(tmp_path / "a.csv", rows)
    columns = "listener=uid,track=song,share=heard,session=visit"
    for more, tracks in (("", [4, 9, 5, 3, 2]), (",position=at", [4, 9, 3, 5, 2])):
        store = ingest_tables(tmp_path / f"in{more}", file, columns=columns + more)
        stored = sorted(read_rows(store), key=lambda row: row["timestamp"])
        assert [row["track"] for row in stored] == tracks
        assert [row["session"] for row in stored] == [*"aabbb"]


def test_plays_at_the_same_second_stay_in_order(tmp_path: Path) -> None:
    rows = [play("a", track, heard, 0) for track, heard in (("q", 0.25), ("b", 1.0))]
    store = ingest_plays(tmp_path, rows)
    assert read_plays(store, "track", "share") == [("q", 0.25), ("b", 1.0)]


def test_titles_come_with_the_ids(tmp_path: Path) -> None:
    rows = [
        play("a", "x", 1, 0, name="Song", by="Ann"),
        play("b", "y", 1, 0, name=None, by="Bob"),
    ]
    columns = ",title=name,artist=by"
    titles = read_titles(None, ingest_plays(tmp_path, rows, columns))
    assert titles == {"x": Title("x", "Song", "Ann"), "y": Title("y", "", "Bob")}
    later = [play("c", "y", 1, 0, name="Late", by="Bob")]
    store = ingest_plays(tmp_path, later, columns)
    assert read_titles(None, store)["y"].title == "Late"


def test_a_bad_play_is_a_reject_with_its_line(tmp_path: Path) -> None:
    good = play("a", "x", 1, 0, own="true", p=None)
    faults: list[tuple[str, Row]] = [
        ("share", {"heard": None}),
        ("share", {"heard": 1.5}),
        ("organic", {"own": "maybe"}),
        ("propensity", {"p": 0}),
    ]
    rows = [good, *(good | fault for _, fault in faults), good]
    store = ingest_plays(tmp_path, rows, ",organic=own,propensity=p")
    rejects = [(reject.line, reject.reason.split()[0]) for reject in rejects_of(store)]
    assert rejects == [*enumerate((column for column, _ in faults), start=3)]


def test_plays_event_logs_and_interactions_have_stores_of_their_own(
    tmp_path: Path, refusal: Run
) -> None:
    file = write_csv(tmp_path / "a.csv", [play("a", "x", 1, 0)])
    ingest_tables(tmp_path, file, columns=COLUMNS)
    file = write_csv(tmp_path / "b.csv", [play("a", "y", 1, 0)])
    log = write_log(tmp_path / "log.jsonl", [event()])
    for argv, message in (
        ([log], "share, recommendation; return the same columns, or use a new store"),
        (
            [file, "--columns", "listener=uid,track=song"],
            "; return the same columns, or use a new store",
        ),
    ):
        assert message in refusal("ingest", *argv, "--store", tmp_path / "store")
