"""Published data sets, from a file of their shape to a served track: in Python, in commands."""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from distributed import Client

from listening_loop.client import ServiceClient
from listening_loop.command import main
from tests.programs import free_port, is_open
from tests.waiting import wait_until

ROWS, LISTENERS, TRACKS = 10_000, 250, 300
CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
SMALL = {"factors": 8, "regularization": 1.0, "alpha": 5.0}
Pairs = list[tuple[int, int]]
Rows = Iterator[Sequence[object]]
pytestmark = [pytest.mark.dask, pytest.mark.slow]


def make_pairs() -> Pairs:
    """Listeners and tracks: most listen to the tracks of their own fifth."""
    generator = np.random.default_rng(8)
    users, tracks = (
        generator.integers(LISTENERS, size=ROWS),
        generator.integers(TRACKS, size=ROWS),
    )
    own = tracks // 5 * 5 + users % 5
    return list(
        zip(
            users.tolist(),
            np.where(generator.random(ROWS) < 0.8, own, tracks).tolist(),
            strict=True,
        )
    )


def write_table(
    file: Path,
    names: Sequence[str] | None,
    rows: Iterator[Sequence[object]],
    delimiter: str = ",",
) -> Path:
    with file.open("w", newline="") as text:
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        writer.writerows([names] if names else [])
        writer.writerows(rows)
    return file


def lastfm(folder: Path, pairs: Pairs) -> Path:
    rows = (
        (
            f"user_{user:06}",
            f"2009-05-{1 + n % 28:02}T{n % 24:02}:08:57Z",
            f"a-{track % 40}",
            f"Björk {track % 40}",
            f"t-{track}" if track % 9 else "",
            f"Song/{track}",
        )
        for n, (user, track) in enumerate(pairs)
    )
    return write_table(
        folder / "userid-timestamp-artid-artname-traid-traname.tsv", None, rows, "\t"
    )


def kuairand(folder: Path, pairs: Pairs) -> Path:
    names = (
        "user_id",
        "video_id",
        "date",
        "hourmin",
        "time_ms",
        "is_click",
        "play_time_ms",
        "duration_ms",
        "is_rand",
        "tab",
    )
    rows = (
        (
            user,
            track * 3,
            20220408,
            1000,
            1_649_000_000_000 + n * 60_000,
            1,
            9_000,
            10_000,
            n % 2,
            1,
        )
        for n, (user, track) in enumerate(pairs)
    )
    return write_table(folder / "log_standard_4_08_to_4_21_pure.csv", names, rows)


# By preset: the file, ids of a listener and of a track in it, and the id of a track by number.
# What the other presets read is proved in ingest.
Writer = Callable[[Path, Pairs], Path]
SHAPES: dict[str, tuple[Writer, int | str, int | str, Callable[[int], int | str]]] = {
    "lastfm-1k": (
        lastfm,
        "user_000007",
        "Björk 18 - Song/18",
        lambda n: f"t-{n}" if n % 9 else f"Björk {n % 40} - Song/{n}",
    ),
    "kuairand": (kuairand, 7, 9, lambda n: n * 3),
}
SCRIPT = """\
import listening_loop as ll
store = ll.ingest(file, f"{folder}/store", preset=preset)
settings = {"search.iterations": 3, "validation.resamples": 100}
run = ll.search(store, models, run=f"{folder}/run", client=client, settings=settings)
run.export(f"{folder}/published", publish_anyway=True)
with ll.serve(f"{folder}/published") as service:
    answer = service.next(user, track, time=0.9)
"""


def check(answer: int | str, preset: str, log: Path) -> None:
    """The answer is another track of the file, and the log has the file's ids."""
    _, user, track, track_of = SHAPES[preset]
    assert answer in {track_of(number) for number in range(TRACKS)} - {track}
    (event,) = [
        orjson.loads(line)
        for file in log.glob("*events-*.jsonl")
        for line in file.read_bytes().splitlines()
    ]
    assert (event["user"], event["track"], event["recommendation"]) == (
        user,
        track,
        answer,
    )
    assert event["recommender"] == "in_order"


def test_four_commands_lead_from_a_file_to_a_track(
    client: Client, tmp_path: Path
) -> None:
    preset = "lastfm-1k"
    write, user, track, _ = SHAPES[preset]
    file = write(tmp_path, make_pairs())
    store, run = str(tmp_path / "store"), tmp_path / "run"
    assert main(["ingest", str(file), "--store", store, "--preset", preset]) == 0
    search = ["search", "--config", str(CONFIG), "--store", store, "--run", str(run)]
    search += ["--scheduler", str(client.scheduler_info()["address"])]
    changes = {
        "catalogue": "null",
        "search.iterations": 3,
        "validation.resamples": 100,
        "export.publish_anyway": "true",
        **{f"models.als.{axis}": value for axis, value in SMALL.items()},
    }
    sets = [f"--set={key}={value}" for key, value in changes.items()]
    assert main([*search, *sets]) == 0
    port = free_port()
    serve = ["serve", "--published", f"{run}/export", "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, "-m", "listening_loop.command", *serve]
    ) as process:
        try:
            wait_until(lambda: is_open(port), "the service")
            answer = ServiceClient(f"http://127.0.0.1:{port}").next(
                user, track, time=0.9
            )
        finally:
            process.terminate()
    check(answer, preset, run / "export" / "log")


def test_fifteen_lines_of_python_lead_from_a_file_to_a_track(
    client: Client, tmp_path: Path
) -> None:
    preset = "kuairand"
    write, user, track, _ = SHAPES[preset]
    names: dict[str, Any] = {
        "file": write(tmp_path, make_pairs()),
        "folder": tmp_path,
        "preset": preset,
        "client": client,
    }
    names |= {"models": {"als": SMALL}, "user": user, "track": track}
    assert SCRIPT.count("\n") <= 15
    exec(SCRIPT, names)  # noqa: S102  it is above
    check(names["answer"], preset, tmp_path / "published" / "log")
