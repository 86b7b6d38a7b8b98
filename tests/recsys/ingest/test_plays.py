"""Plays of your own become events: sessions, recommendations, propensities and titles, by the ids that came in."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.logs.interactions import Reading, parse_columns
from analysis.logs.reader import read_rejects
from analysis.store import number_of
from looplib.cli import run
from recsys.ingest import __main__ as ingest_command
from recsys.ingest.interactions import ingest_interactions
from recsys.ingest.presets import PRESETS, Preset
from recsys.store.ids import originals, stored_titles, titles_by_id
from recsys.store.remote import Store, open_store
from tests.recsys.events import event, read_rows, write_log

COLUMNS = "user=uid,item=song,share=heard,timestamp=ts"
MINUTE = 60_000
START_MS = 1_700_000_000_000
Row = dict[str, Any]


def play(user: object, song: object, heard: object, minute: float, **more: object) -> Row:
    return {"uid": user, "song": song, "heard": heard, "ts": START_MS + round(minute * MINUTE), **more}


def write_csv(file: Path, rows: Sequence[Row]) -> Path:
    lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
    file.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    return file


def write_parquet(file: Path, rows: Sequence[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file


def write_json(file: Path, rows: Sequence[Row]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


WRITERS: dict[str, Callable[[Path, Sequence[Row]], Path]] = {
    "a.csv": write_csv,
    "a.jsonl": write_json,
    "a.parquet": write_parquet,
}


def ingested(folder: Path, *files: Path, columns: str = COLUMNS, **settings: Any) -> Store:  # noqa: ANN401  of `Reading`
    reading = Reading(parse_columns(columns), **settings)
    return ingest_interactions(files, folder / "store", reading, memory="200MB").store


def events_of(store: Store) -> list[tuple[Any, ...]]:
    """User, track, recommendation (as they came in), time, message, minute, propensity, by user and time."""
    numbers = read_rows(store)
    users = originals(store, "users", np.array([row["user"] for row in numbers])).tolist()
    tracks = originals(store, "items", np.array([row["track"] for row in numbers])).tolist()
    names = dict(zip([row["track"] for row in numbers], tracks, strict=True))
    rows = [
        (
            user,
            row["timestamp"],
            names[row["track"]],
            names.get(row["recommendation"]),
            row["time"],
            row["message"],
            row["propensity"],
        )
        for user, row in zip(users, numbers, strict=True)
    ]
    return [
        (user, track, recommendation, time, message, (moment - START_MS) / MINUTE, propensity)
        for user, moment, track, recommendation, time, message, propensity in sorted(rows)
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_half_an_hour_of_silence_ends_a_session_and_the_next_track_is_the_recommendation(
    name: str, tmp_path: Path
) -> None:
    rows = [
        play("a", "x", 1.0, 0),
        play("b", "z", 0.25, 5),
        play("a", "y", 0.5, 3),
        play("a", "z", 0.0, 33),
        play("a", "x", 0.75, 63.001),
    ]
    store = ingested(tmp_path, WRITERS[name](tmp_path / name, rows))
    assert events_of(store) == [
        ("a", "x", "y", 1.0, "next", 0, None),
        ("a", "y", "z", 0.5, "next", 3, None),
        ("a", "z", None, 0.0, "last", 33, None),
        ("a", "x", None, 0.75, "last", pytest.approx(63.001), None),
        ("b", "z", None, 0.25, "last", 5, None),
    ]
    assert len({row["session"] for row in read_rows(store)}) == 3
    assert store.manifest.interactions is None
    assert store.manifest.plays is not None
    assert store.manifest.plays.columns == ("user", "item", "timestamp", "share")


def test_an_organic_play_opens_a_session_and_propensities_belong_to_the_request_before(tmp_path: Path) -> None:
    flags = [(1, None), (0, 0.5), (0, None), (1, 0.25), (0, 0.125)]
    rows = [
        play("a", f"s{number}", 0.5, number, organic=flag, chance=chance) for number, (flag, chance) in enumerate(flags)
    ]
    store = ingested(
        tmp_path, write_csv(tmp_path / "a.csv", rows), columns=f"{COLUMNS},organic=organic,propensity=chance"
    )
    found = [(message, propensity) for *_, message, _, propensity in events_of(store)]
    assert found == [("next", 0.5), ("next", None), ("last", None), ("next", 0.125), ("last", None)]


def test_named_sessions_without_timestamps_keep_the_order_of_their_rows_or_of_their_positions(tmp_path: Path) -> None:
    rows = [
        {"uid": 7, "song": song, "heard": 1, "visit": visit, "at": at}
        for song, visit, at in [(5, "b", 2), (4, "a", 1), (3, "b", 1), (9, "a", 2), (2, "b", 10)]
    ]
    tracks: list[dict[str, list[int]]] = []
    for name, more in (("rows", ""), ("positions", ",position=at")):
        (tmp_path / name).mkdir()
        file = write_csv(tmp_path / name / "a.csv", rows)
        store = ingested(tmp_path / name, file, columns=f"user=uid,item=song,share=heard,session=visit{more}")
        stored = sorted(read_rows(store), key=lambda row: row["timestamp"])
        tracks.append({visit: [row["track"] for row in stored if row["session"] == visit] for visit in "ab"})
        assert [row["message"] for row in stored] == ["next", "last", "next", "next", "last"]
    assert tracks == [{"a": [4, 9], "b": [5, 3, 2]}, {"a": [4, 9], "b": [3, 5, 2]}]


def test_plays_at_the_same_second_stay_in_order_and_the_share_is_what_was_played_of_the_duration(
    tmp_path: Path,
) -> None:
    rows = [{"u": "a", "t": track, "ms": ms, "of": 200, "ts": 1_700_000_000} for track, ms in (("q", 50), ("b", 900))]
    file = write_csv(tmp_path / "a.csv", rows)
    store = ingested(tmp_path, file, columns="user=u,item=t,played=ms,duration=of,timestamp=ts")
    assert [(track, time) for _, track, _, time, *_ in events_of(store)] == [("q", 0.25), ("b", 1.0)]


def test_percentages_and_conditions_and_folders_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "plays" / "2023"
    folder.mkdir(parents=True)
    (tmp_path / "plays" / "README").write_text("no data")
    write_csv(folder / "a.csv", [play("a", "x", 50, 0, kind="radio"), play("a", "y", 100, 1, kind="own")])
    write_csv(folder / "b.csv", [play("b", "x", 25, 0, kind="radio")])
    store = ingested(tmp_path, tmp_path / "plays", percent=True, where="kind = 'radio'")
    assert [(user, track, time) for user, track, _, time, *_ in events_of(store)] == [("a", "x", 0.5), ("b", "x", 0.25)]


def test_titles_come_with_the_ids_and_gaps_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [play("a", "x", 1, 0, name="Song", by="Ann"), play("b", "y", 1, 0, name=None, by="Bob")]
    argv = [str(write_csv(tmp_path / "a.csv", rows)), "--store", str(tmp_path / "store")]
    assert run(ingest_command.app, ingest_command.PROG, [*argv, "--columns", f"{COLUMNS},title=name,artist=by"]) == 0
    assert "1 items have no title; pages show their ids instead" in capsys.readouterr().out
    store = open_store(tmp_path / "store")
    found = {track: (title.title, title.artist) for track, title in titles_by_id(store).items()}
    assert found == {"x": ("Song", "Ann"), "y": ("", "Bob")}
    table = stored_titles(store)
    assert table is not None
    assert set(table["track"].to_pylist()) == {number_of("x"), number_of("y")}
    later = write_csv(tmp_path / "b.csv", [play("c", "y", 1, 0, name="Late", by="Bob")])
    store = ingested(tmp_path, later, columns=f"{COLUMNS},title=name,artist=by")
    assert titles_by_id(store)["y"].title == "Late"


def test_a_bad_play_is_a_reject_with_its_line(tmp_path: Path) -> None:
    good = play("a", "x", 1, 0, own="true", p=None)
    faults: dict[str, Row] = {
        "share is missing": {"heard": None},
        "share 1.5; 0 to 1 is allowed": {"heard": 1.5},
        "share much; 0 to 1 is allowed": {"heard": "much"},
        "organic maybe; true, false, 1 and 0 are allowed": {"own": "maybe"},
        "propensity 0; above 0 to 1 is allowed": {"p": 0},
    }
    file = write_csv(tmp_path / "a.csv", [good, *(good | fault for fault in faults.values()), good])
    store = ingested(tmp_path, file, columns=f"{COLUMNS},organic=own,propensity=p")
    (source,) = store.manifest.sources
    rejects = read_rejects(store.path / source.rejects, 9)
    assert [(reject.line, reject.reason) for reject in rejects] == list(enumerate(faults, start=3))


def refusal(capsys: pytest.CaptureFixture[str], folder: Path, *argv: object) -> str:
    words = [*map(str, argv), "--store", str(folder / "store")]
    assert run(ingest_command.app, ingest_command.PROG, words) == 2
    shown = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(shown) == 1
    assert not (folder / "store" / "manifest.json").exists()
    return shown[0]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([play("a", "x", 87, 0), play("a", "y", 12.5, 1)], (), "2 of 2 shares are above 1, up to 87; where they are 0"),
        ([play("a", "x", 0.9, 0)], ("--set", "percent=true"), "no share is above 1; where they are 0 to 1, leave out"),
        (
            [play("a", "x", 1, 0), play("a", "x", 1, 0) | {"ts": "2020-01-01"}, play("a", "x", 1, 0) | {"ts": 5}],
            (),
            "timestamps in 3 formats, 1 dates, 1 milliseconds, 1 seconds; write them in one",
        ),
        ([play("a", "x", 1, 0)], ("--where", "nope = 1"), '--where: Binder Error: Referenced column "nope" not found'),
        ([play("a", "x", 1, 0)], ("--where", "heard > 0"), "values of CSV are text, compare CAST(column AS DOUBLE)"),
        ([play("a", "x", 1, 0)], ("--where", "heard = 'no'"), "empty; at least one row is expected"),
    ],
)
def test_bad_tables_are_refused_in_one_line(
    rows: list[Row], options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "a.csv", rows)
    assert message in refusal(capsys, tmp_path, file, "--columns", COLUMNS, *options)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("user=uid,item=uid", "user and item are the same column, uid"),
        ("user=uid,item=song,share=heard", "plays need timestamp= or session=; of a share alone make interactions"),
        ("user=uid,item=song,played=heard,timestamp=ts", "played and duration go together"),
        ("user=uid,item=song,share=heard,weight=heard,timestamp=ts", "weight and share both say how much was heard"),
        ("user=uid,item=song,organic=heard,timestamp=ts", "organic belongs to plays, which need share="),
    ],
)
def test_columns_that_do_not_go_together_are_refused(
    columns: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "a.csv", [play("a", "x", 1, 0)])
    assert message in refusal(capsys, tmp_path, file, "--columns", columns)


def test_repeated_columns_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("uid;song;heard;ts;uid\n1;2;0.5;1700000000;3\n")
    table = pa.table([pa.array([1])] * 5, names=["uid", "song", "heard", "ts", "song"])
    pq.write_table(table, tmp_path / "a.parquet")
    for name, column in (("a.csv", "uid"), ("a.parquet", "song")):
        found = refusal(capsys, tmp_path, tmp_path / name, "--columns", COLUMNS)
        assert f"{name}: 2 columns are named {column}; rename one" in found


def test_plays_event_logs_and_interactions_have_stores_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "a.csv", [play("a", "x", 1, 0)])
    ingested(tmp_path, file)
    log = write_log(tmp_path / "log.jsonl", [event()])
    store = ("--store", str(tmp_path / "store"))
    for argv, message in (
        ([str(log)], "a store of plays; event logs need a store of their own"),
        ([str(file), "--columns", "user=uid,item=song"], "a store of plays; interactions need a store of their own"),
        (
            [str(file), "--columns", f"{COLUMNS},organic=heard"],
            "its plays have user, item, timestamp, share, and these",
        ),
    ):
        assert run(ingest_command.app, ingest_command.PROG, [*argv, *store]) == 2
        assert message in capsys.readouterr().err


ROWS = 10_000


def lastfm(folder: Path, numbers: np.random.Generator) -> Path:
    lines = []
    for _ in range(ROWS):
        track, moment = int(numbers.integers(400)), np.datetime64("2009-05-04T23:08:57") - numbers.integers(10**7)
        key = "" if track % 9 == 0 else f"00000000-0000-4000-8000-{track:012}"
        names = f"f1b1cf71\t{'“' if track % 2 else chr(34)}Artist {track % 40}\t{key}\tTrack {track}"
        lines.append(f"user_{int(numbers.integers(1, 60)):06}\t{moment}Z\t{names}\n")
    file = folder / "userid-timestamp-artid-artname-traid-traname.tsv"
    file.write_text("".join(lines))
    return file


def yambda(folder: Path, numbers: np.random.Generator) -> Path:
    table = {
        "uid": pa.array(numbers.integers(100, 160, ROWS) * 100, pa.uint32()),
        "timestamp": pa.array(np.sort(numbers.integers(0, 2_000_000, ROWS)), pa.uint32()),
        "item_id": pa.array(numbers.integers(1, 400, ROWS) * 1000, pa.uint32()),
        "is_organic": pa.array(numbers.integers(0, 2, ROWS), pa.uint8()),
        "played_ratio_pct": pa.array(numbers.integers(0, 121, ROWS), pa.uint16()),
        "track_length_seconds": pa.array(numbers.integers(60, 400, ROWS), pa.uint32()),
    }
    pq.write_table(pa.table(table), folder / "listens.parquet")
    return folder / "listens.parquet"


def kuairand(folder: Path, numbers: np.random.Generator) -> Path:
    names = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    lines = [names + "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"]
    for number in range(ROWS):
        user, video, played = numbers.integers(60), numbers.integers(400), numbers.integers(0, 30_000)
        moment = 1_649_520_000_000 + number * 9000
        lines.append(
            f"{user},{video},20220409,1600,{moment},1,0,0,0,0,0,0,{played},20000,0,0,0,{int(number % 3 == 0)},1\n"
        )
    (folder / "log_random_4_22_to_5_08_pure.csv").write_text("".join(lines))
    return folder / "log_random_4_22_to_5_08_pure.csv"


def spotify(folder: Path, numbers: np.random.Generator) -> Path:
    lines = [
        "session_id,session_position,session_length,track_id_clean,skip_1,skip_2,skip_3,not_skipped,hour_of_day,date\n"
    ]
    for number in range(ROWS):
        skips = int(numbers.integers(4))
        flags = ",".join(str(flag).lower() for flag in (skips == 0, skips <= 1, skips <= 2, skips == 3))
        session, position = divmod(number, 20)
        lines.append(f"0_{session:08x},{position + 1},20,t_{numbers.integers(400):08x},{flags},16,2018-07-15\n")
    (folder / "log_0_20180715_000000000000.csv").write_text("".join(lines))
    return folder / "log_0_20180715_000000000000.csv"


def movielens(folder: Path, numbers: np.random.Generator) -> Path:
    lines = [
        f"{numbers.integers(1, 60)},{numbers.integers(1, 400)},{numbers.integers(1, 11) / 2},{1_000_000_000 + number}\n"
        for number in range(ROWS)
    ]
    (folder / "ratings.csv").write_text("".join(["userId,movieId,rating,timestamp\n", *lines]))
    return folder / "ratings.csv"


MAKERS = {
    Preset.lastfm_1k: lastfm,
    Preset.yambda: yambda,
    Preset.kuairand: kuairand,
    Preset.spotify_skips: spotify,
    Preset.movielens: movielens,
}


@pytest.mark.parametrize(("preset", "users"), [(Preset.citeulike, [0, 0, 2]), (Preset.lightgcn, [2, 2, 1])])
def test_lists_of_items_are_read_line_by_line(preset: Preset, users: list[int], tmp_path: Path) -> None:
    (tmp_path / "train.dat").write_text("2 17 4\n0\n1 17\n")
    argv = [str(tmp_path / "train.dat"), "--store", str(tmp_path / "store"), "--preset", preset, "--set", "buckets=2"]
    assert run(ingest_command.app, ingest_command.PROG, argv) == 0
    found = sorted((row["user"], row["track"], row["time"]) for row in read_rows(open_store(tmp_path / "store")))
    assert found == sorted(zip(users, [17, 4, 17], [1.0] * 3, strict=True))


@pytest.mark.parametrize("preset", MAKERS)
def test_a_published_data_set_is_read_whole(preset: Preset, tmp_path: Path) -> None:
    file = MAKERS[preset](tmp_path, np.random.default_rng(5))
    argv = [str(file), "--store", str(tmp_path / "store"), "--preset", preset, "--set", "buckets=2"]
    assert run(ingest_command.app, ingest_command.PROG, argv) == 0
    store = open_store(tmp_path / "store")
    (source,) = store.manifest.sources
    assert source.lines.rejected == 0
    rows = read_rows(store)
    if preset is Preset.movielens:
        assert 0.25 * ROWS < source.lines.good < 0.35 * ROWS
    else:
        assert source.lines.good == ROWS
    if PRESETS[preset].columns.has_share:
        assert len(rows) == ROWS
        sessions = {(row["user"], row["session"]) for row in rows}
        assert sum(row["message"] == "last" for row in rows) == len(sessions) < ROWS
        assert {row["time"] for row in rows} <= set(np.linspace(0, 1, 20_001).round(5).tolist())
    if preset is Preset.kuairand:
        assert {row["propensity"] for row in rows} == {None, 1 / 7583}
    if preset is Preset.spotify_skips:
        assert len(sessions) == ROWS / 20
        assert {row["time"] for row in rows} == {0.1, 0.4, 0.8, 1.0}
    if preset is Preset.yambda:
        assert max(row["timestamp"] for row in rows) > 9_000_000_000
    if preset is Preset.lastfm_1k:
        titles = titles_by_id(store)
        assert len(titles) == 400
        assert titles["00000000-0000-4000-8000-000000000002"].artist == '"Artist 2'
        assert titles['"Artist 18 - Track 18'].title == "Track 18"
