"""The small experiment of docs/sql.md: a log of three arms, its store, a run and a report."""

import json
from pathlib import Path

import numpy as np

import listening_loop as ll
from listening_loop.command import main
from tests.recsys.in_process import without_processes

START_MS = 1_767_225_600_000  # 2026-01-01
DAY_MS = 86_400_000
ARMS = {"C": "top_pop", "T1": "als", "T2": "live"}
ARTISTS = ("Nina", "Otis", "Ella", "Miles", "Etta")
TRACKS = 40
LISTENERS = 240


def make_example(folder: Path) -> None:
    """Write `log.jsonl`, `tracks.json` and `listeners.csv`, and from them all that is asked.

    These are the folders `store`, `run`, `published` and `report`, by paths relative to the folder,
    which is the working directory.
    """
    rng = np.random.default_rng(7)
    events = []
    for listener in range(LISTENERS):
        arm = [*ARMS][listener % 3]
        leaves = rng.random() < (0.3 if arm == "C" else 0.15)
        liking = rng.uniform(0.3, 0.5) + 0.15 * (arm == "T2")
        favourite = int(rng.integers(len(ARTISTS)))
        for day in range(3 if leaves else 7):
            if rng.random() < 0.3:
                continue
            time = START_MS + day * DAY_MS + int(rng.integers(8, 23)) * 3_600_000
            length = int(rng.integers(3, 8))
            track = favourite * 8 + int(rng.integers(8))
            for number in range(length):
                is_last = number == length - 1
                pool = TRACKS if arm == "T2" else 24
                upcoming = int(rng.integers(pool))
                time += 180_000
                events.append(
                    {
                        "message": "last" if is_last else "next",
                        "timestamp": time,
                        "user": f"u{listener}",
                        "track": f"t{track}",
                        "time": round(float(np.clip(rng.normal(liking, 0.2), 0, 1)), 3),
                        "latency": 0.001,
                        "recommendation": None if is_last else f"t{upcoming}",
                        "experiments": {"RANKING": arm},
                        "session": f"s{listener}-{day}",
                        "recommender": None if is_last else ARMS[arm],
                    }
                )
                track = upcoming
    titles = [
        {"track": f"t{n}", "title": f"Song {n}", "artist": ARTISTS[n // 8]}
        for n in range(TRACKS)
    ]
    for name, rows in (("log.jsonl", events), ("tracks.json", titles)):
        lines = (json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text("".join(lines))
    countries = (f"u{n},{('DE', 'FR', 'PT')[n % 7 % 3]}\n" for n in range(LISTENERS))
    (folder / "listeners.csv").write_text("listener,country\n" + "".join(countries))
    ll.ingest("log.jsonl", "store")
    models = {"item_knn": {}}
    with without_processes():
        run = ll.search("store", models, catalogue="tracks.json", run="run")
        run.export("published", publish_anyway=True)
    report = "ab store --experiment RANKING --out report --by country"
    settings = "--listeners listeners.csv --set min_days=1 --set min_listeners=20"
    assert main(f"{report} {settings}".split()) == 0
