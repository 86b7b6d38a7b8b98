"""`listening-loop init`: what it takes ordinary files for, and what it writes."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from botify.settings import Settings
from listening_loop.command import main
from listening_loop.init.look import Guess, look_at
from looplib.config import load_config
from recsys.config import SearchConfig
from tests.recsys.logs import random_sessions, write_log

Rows = Sequence[Sequence[object]]
PLAYS = [(user, play) for play in range(40) for user in range(6)]


def table(names: str, row: Callable[[int, int], Sequence[object]]) -> str:
    """Text of a CSV file with a row for each play of each listener."""
    lines = [names, *(",".join(map(str, row(*play))) for play in PLAYS)]
    return "\n".join(lines) + "\n"


# file name → its text, and the words of the ingest that reads it
FILES: dict[str, tuple[str, str]] = {
    # tracks of several artists share a title
    "scrobbles.csv": (
        table(
            "username;utc_time;artist;album;track",
            lambda u, n: (
                f"u{u};{1 + n % 28:02} Feb 2026 {n % 24:02}:30;Artist {n % 5};"
                f"Album;Song {n % 3}",
            ),
        ),
        "--columns user=username,item=artist+track,timestamp=utc_time,title=track,artist=artist",
    ),
    "stream.csv": (
        table(
            "ts,username,platform,ms_played,track_uri,duration_ms",
            lambda u, n: (
                f"2026-01-{1 + n % 28:02}T{n % 24:02}:00:00Z",
                f"u{u}",
                "ios",
                n * 1000,
                f"spotify:track:{n % 9}",
                60_000,
            ),
        ),
        "--columns user=username,item=track_uri,timestamp=ts,played=ms_played,duration=duration_ms",
    ),
    "seconds.csv": (
        table(
            "listener_name,played_at,song_title,artist_name,seconds_listened,song_seconds",
            lambda u, n: (
                f"u{u}",
                f"2026-01-{1 + n % 28:02} {n % 24:02}:00:00",
                f"Song {n % 9}",
                f"Artist {n % 9 % 4}",
                n * 4,
                200,
            ),
        ),
        "--columns user=listener_name,item=song_title,timestamp=played_at,"
        "played=seconds_listened,duration=song_seconds,title=song_title,artist=artist_name",
    ),
    # a play begins and ends, and only the end has what was heard; searches have no track
    "warehouse.csv": (
        "event_time,event_type,user_id,track_id,played_ms,track_duration_ms\n"
        + "".join(
            f"2026-01-05 10:{n:02}:00 UTC,play_start,{u},{n},,9000\n"
            f"2026-01-05 10:{n:02}:00 UTC,play_end,{u},{n},{n * 100},9000\n"
            f"2026-01-05 10:{n:02}:00 UTC,search,{u},,,\n"
            for u, n in PLAYS
        ),
        "--columns user=user_id,item=track_id,timestamp=event_time,played=played_ms,"
        "duration=track_duration_ms --where '\"event_type\" IN ('\"'\"'play_end'\"'\"')'",
    ),
    "ratings.dat": (
        "\n".join(f"{u + 1}::{n + 1}::{1 + n % 5}::{978300760 + n}" for u, n in PLAYS),
        "--columns user=1,item=2,weight=3,timestamp=4 --delimiter :: --set header=false",
    ),
    "shares.jsonl": (
        "\n".join(
            json.dumps(
                {
                    "account_id": u,
                    "song_id": n % 9,
                    "percent_played": n,
                    "session_id": n,
                }
            )
            for u, n in PLAYS
        ),
        "--columns user=account_id,item=song_id,session=session_id,share=percent_played"
        " --set percent=true",
    ),
    "counts.csv": (
        table("User ID,Track ID,Play Count", lambda u, n: (f"u{u}", n, 10 ** (n % 4))),
        "--columns 'user=User ID,item=Track ID,weight=Play Count'",
    ),
    "micros.csv": (
        table(
            "event_timestamp,user_pseudo_id,item_id,listen_ratio,is_organic",
            lambda u, n: (
                1_767_225_600_000_000 + n * 60_000_000,
                f"{u}.5",
                n % 9,
                n / 40,
                "true",
            ),
        ),
        "--columns user=user_pseudo_id,item=item_id,timestamp=event_timestamp,"
        "share=listen_ratio,organic=is_organic",
    ),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def steps_of(printed: str) -> list[list[str]]:
    lines = printed.partition("then:\n")[2].splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_it_is_meant_and_every_row_is_good(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words = FILES[name]
    Path(name).write_text(text)
    assert main(["init", name]) == 0
    ingest, search, serve, ask, rehearse, report = steps_of(capsys.readouterr().out)
    stem = Path(name).stem
    assert ingest[2:] == [name, "--store", f"out/{stem}/store", *shlex.split(words)]
    assert (search[3], serve[3]) == (f"{stem}.yaml", f"{stem}-service.yaml")
    assert ask[0] == "curl"
    assert rehearse[1:] == ["rehearse", f"out/{stem}/run/export"]
    assert serve[4:] == ["--set", f"log_dir=out/{stem}/rehearsal"]
    assert report[1:3] == ["ab", f"out/{stem}/rehearsal"]
    load_config(SearchConfig, Path(search[3]))
    service = load_config(Settings, Path(serve[3]))
    assert len(service.deciding.arms) == 3
    assert main(ingest[1:]) == 0
    assert "0 rejected" in capsys.readouterr().out


def test_a_folder_of_json_arrays_is_read_as_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    rows = [
        {
            "ts": f"2026-01-05T10:{n:02}:00Z",
            "username": f"u{u}",
            "ms_played": n * 1000,
            "master_metadata_track_name": f"Song {n % 9}",
            "master_metadata_album_artist_name": "Björk",
            "spotify_track_uri": f"spotify:track:{n % 9}",
        }
        for u, n in PLAYS
    ]
    for number in range(2):
        part = json.dumps(rows[number::2], indent=2, ensure_ascii=False)
        (folder / f"history_{number}.json").write_text(part)
    guess = look_at(folder, {})
    assert guess.reading is not None
    assert guess.reading.columns.title == "master_metadata_track_name"
    assert (guess.rows, guess.rejected, guess.listeners, guess.tracks) == (240, 0, 6, 9)
    assert (
        main(
            [
                "ingest",
                str(folder),
                "--store",
                "store",
                "--columns",
                "user=username,"
                "item=master_metadata_album_artist_name+master_metadata_track_name",
            ]
        )
        == 0
    )


def test_columns_that_are_named_win_and_the_others_are_guessed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = table("who,track,ts,len", lambda u, n: (u, n % 7, 1_767_225_600 + n, n))
    Path("odd.csv").write_text(text)
    guess = look_at(Path("odd.csv"), {"user": "who", "weight": "len"})
    assert guess.reading is not None
    columns = guess.reading.columns
    assert (columns.user, columns.item, columns.weight) == ("who", "track", "len")
    assert columns.timestamp == "ts"
    assert main(["init", "odd.csv"]) == 2
    refusal = capsys.readouterr().err
    assert "which column is the user? Found are who, track, ts, len" in refusal
    assert refusal.endswith("guessed so far: timestamp=ts,item=track\n")
    assert main(["init", "odd.csv", "--columns", "user=who"]) == 0
    assert main(["init", "odd.csv", "--columns", "user=who"]) == 2  # there already


def test_titles_that_are_named_as_ids_are_said_and_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("scrobbles.csv").write_text(FILES["scrobbles.csv"][0])
    assert main(["init", "scrobbles.csv", "--columns", "item=track"]) == 0
    printed = capsys.readouterr().out
    assert "3 texts in track are 15 pairs with artist" in printed
    columns = "--columns item=artist+track"
    assert columns in printed
    words = ["init", "scrobbles.csv", "--out", "again.yaml", *columns.split()]
    assert main(words) == 0
    ingest = steps_of(capsys.readouterr().out)[0]
    assert ingest[-1] == FILES["scrobbles.csv"][1].split()[1]


def test_commands_are_printed_with_the_folder_that_the_shell_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("plays.csv").write_text("user,item\nu,a\nu,b\n")
    folder = Path(sys.executable).parent
    for number, path in enumerate(("/usr/bin", str(folder))):
        monkeypatch.setenv("PATH", path)
        monkeypatch.setattr(sys, "argv", [str(folder / "listening-loop")])
        assert main(["init", "plays.csv", "--out", f"{number}.yaml"]) == 0
        first = steps_of(capsys.readouterr().out)[0][0]
        assert first == (str(folder / "listening-loop"), "listening-loop")[number]


def test_lines_that_end_in_several_ways_are_read() -> None:
    rows = "".join(f"u{u};t{n}\r\n" for u, n in PLAYS)
    Path("mixed.csv").write_text(f"user;item\n{rows}", newline="")
    guess = look_at(Path("mixed.csv"), {})
    assert (guess.rows, guess.rejected, guess.tracks) == (240, 0, 40)


def configured(name: str, text: str) -> SearchConfig:
    Path(f"{name}.csv").write_text(text)
    assert main(["init", f"{name}.csv"]) == 0
    return load_config(SearchConfig, Path(f"{name}.yaml"))


def test_what_is_heard_again_decides_models_and_lists() -> None:
    again = configured(
        "again", table("listener,position,track", lambda u, n: (u, n, n % 7))
    )
    assert (again.split.kind, again.split.holdout) == ("newest", 0.2)
    assert not again.validation.filter_seen
    assert not again.export.filter_seen
    kinds = {*again.models} - {"als"}
    assert kinds == {"activation", "item_knn", "blend"}
    assert again.search.expand
    once = configured("once", table("user,item", lambda u, n: (u, f"t{n}")))
    assert (once.split.kind, once.split.holdout) == ("session_hash", 0.15)
    assert once.validation.filter_seen
    assert once.export.filter_seen
    assert {*once.models} == {"als", "item_knn"}
    counts = configured("counts", FILES["counts.csv"][0])
    assert counts.feedback.scale == "log"
    assert "every row counts 1" not in Path("counts.yaml").read_text()


def test_an_event_log_and_a_published_pair_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = random_sessions(1, listeners=3, tracks=9, sessions=5)
    assert look_at(write_log(tmp_path / "events.jsonl", sessions), {}).reading is None
    Path("train.dat").write_text("2 17 4\n0\n1 17\n")
    assert (
        main(["init", "train.dat", "--preset", "citeulike", "--out", "pair.yaml"]) == 0
    )
    command = "ingest train.dat --store out/pair/store --preset citeulike"
    assert command in capsys.readouterr().out
    config = load_config(SearchConfig, Path("pair.yaml"))
    assert (config.split.kind, config.split.train) == ("files", ("train.dat",))
    assert config.validation.filter_seen
    assert config.validation.min_time == 1


def test_a_parquet_file_is_read_by_the_types_of_its_columns() -> None:
    columns: dict[str, Any] = {
        "customer": [u for u, _ in PLAYS],
        "product": [f"p{n % 9}" for _, n in PLAYS],
        "purchased_at": pa.array(
            [1_767_225_600_000_000 + n for _, n in PLAYS], pa.timestamp("us")
        ),
        "seconds": [float(n) for _, n in PLAYS],
    }
    pq.write_table(pa.table(columns), "listens.parquet")
    guess: Guess = look_at(Path("listens.parquet"), {})
    assert guess.reading is not None
    assert guess.reading.columns.timestamp == "purchased_at"
    assert guess.reading.columns.weight == "seconds"
    assert guess.examples[0]["item"] == "p0"


def many(rows: int) -> Iterator[str]:
    yield "user,item,weight"
    for row in range(rows):
        yield f"u{row % 7},t{row},{'lots' if row % 10 == 0 else ''}{row % 3}"


def test_many_refused_rows_are_counted_by_reason_and_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("bad.csv").write_text("\n".join(many(300)) + "\n")
    words = ["ingest", "bad.csv", "--store", "store", "--columns"]
    words.append("user=user,item=item,weight=weight")
    assert main(words) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert "        30  weight … is no number" in lines
    assert (
        "first bad.csv:2: weight lots0 is no number"
        in lines[lines.index("        30  weight … is no number") + 1]
    )
    assert "10.0% of the lines are rejected, above 5%" in captured.err
    assert main([*words, "--allow-rejects"]) == 0


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_refused_as_one(
    encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = table("user,track", lambda u, n: (f"Jürgen {u}", f"Lied {n}"))
    Path("plays.csv").write_text(text, encoding)
    assert main(["init", "plays.csv"]) == 2
    assert "no row can be read; UTF-8 is expected" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_empty_file_is_called_empty(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.touch()
    assert main(["init", str(file)]) == 2
    found = capsys.readouterr().err
    assert found.endswith(f"{file}: empty; at least one row is expected\n")
