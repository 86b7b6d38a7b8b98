"""Files as people bring them, by `init` and `ingest`: read rightly or asked about, never misread.

`file_shapes.yaml` has the files, which all hold the same plays, and says which come out of each.
"""

import csv
import hashlib
import io
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from listening_loop.command import main
from listening_loop.init.command import QUERY
from recsys.store.ids import read_titles
from recsys.store.reader import open_store
from tests.recsys.events import rows_by_original_id

Play = Mapping[str, Any]
Shape = Mapping[str, Any]
SHAPES: Mapping[str, Shape] = yaml.safe_load(
    Path(__file__).with_name("file_shapes.yaml").read_text(encoding="utf-8")
)
LISTENERS = ("ann", "bob", "dan", "eve", "jürgen", "zoë")
START = datetime(2026, 1, 5, tzinfo=UTC)
SERIAL_START = 46_027  # days since 1899-12-30, as Excel counts them
PERCENTS = (100, 86, 4, 100, 62, 98)
EVENTS = ("view", "view", "cart", "remove_from_cart", "purchase")
WEIGHTS = {"view": 1, "cart": 2, "remove_from_cart": 0, "purchase": 5}
NUMBERS = {"since", "position", "organic", "share", "seconds", "weight"}
ORDERS = {"played_at", "since", "position", "session"}
SHORTEST = 30  # seconds that count as a play


def track_of(user: int, n: int) -> int:
    return (user * 11 + (n**3 if n % 3 else n)) % 55


def make_play(user: int, n: int) -> Play:
    """Make the n-th play of a listener: all that some file says of it."""
    track = track_of(user, n)
    since = timedelta(days=n // 3, minutes=user * 61 + n % 3 * 9)
    at = START + since
    length = 150 + track % 7 * 50
    percent = PERCENTS[(n + user) % len(PERCENTS)]
    seconds = length * percent // 100
    end = at + timedelta(seconds=seconds)
    is_liked = n % 4 != 3
    return {
        "break": "\n",
        "zero": 0,
        "n": n,
        "number": n * len(LISTENERS) + user,
        "first": track not in [track_of(user, earlier) for earlier in range(n)],
        "user": LISTENERS[user],
        "uid": 101 + user,
        "family": user // 2,
        "sha": hashlib.sha256(bytes([user])).hexdigest(),
        "track": f"t{track:02}",
        "tid": 1000 + track,
        "title": f"Song {track % 50}",
        "artist": f"Band {track % 8}",
        "both": f"Band {track % 8} - Song {track % 50}",
        "album": f"LP {track % 16}",
        "artist_id": 70 + track % 8,
        "album_id": 300 + track % 16,
        "at": at,
        "end": end,
        "day": at.date(),
        "berlin": at + timedelta(hours=1),
        "early": at.replace(day=1 + n % 12),
        "unix": int(at.timestamp()),
        "unix_ms": int(at.timestamp()) * 1000,
        "end_unix": int(end.timestamp()),
        "since": int(since.total_seconds()),
        "serial": SERIAL_START + since / timedelta(days=1),
        "length": length,
        "duration_ms": length * 1000,
        "seconds": seconds,
        "ms": seconds * 1000,
        "clock": f"{seconds // 60}:{seconds % 60:02}",
        "wall": seconds + n % 5 * 100,
        "pct": percent,
        "share": percent / 100,
        "long": seconds >= SHORTEST,
        "skipped": str(seconds < SHORTEST).lower(),
        "rated": "S" if seconds < SHORTEST else "L",
        "organic": n % 2,
        "count": 1 + track * 37,
        "liked": is_liked,
        "like": int(is_liked),
        "thumb": 1 if is_liked else -1,
        "thumb_word": "up" if is_liked else "down",
        "star": 1 + n % 5,
        "good": n % 5 >= 3,  # four stars
        "half_minutes": seconds * 60 + 30,
        "minutes": f"{seconds / 60:.5f}",
        "event": EVENTS[n % len(EVENTS)],
        "weight": WEIGHTS[EVENTS[n % len(EVENTS)]],
        "wanted": WEIGHTS[EVENTS[n % len(EVENTS)]] > 0,
        "always": True,
    }


PLAYS = [make_play(user, n) for n in range(60) for user in range(len(LISTENERS))]


def fill(template: object, play: Play) -> str:
    """Replace <field>, <field format> and <list field> by what is known of a play."""

    def value(match: re.Match[str]) -> str:
        name, form = match[1], match[2] or ""
        if name == "list":
            return ", ".join(str(p[form]) for p in PLAYS if p["user"] == play["user"])
        if isinstance(play[name], datetime):
            form = form or "%Y-%m-%d %H:%M:%S"
        return format(play[name], form)

    return re.sub("<([a-z_]+)(?: ([^<>]*))?>", value, str(template))


def grouped(plays: Iterable[Play], template: str) -> Iterator[tuple[str, list[Play]]]:
    """Group plays by a filled template, in its order."""

    def key(play: Play) -> str:
        return fill(template, play)

    for name, group in groupby(sorted(plays, key=key), key):
        yield name, [*group]


def write(shape: Shape) -> str:
    """Write the plays as files of a shape; return the path that `init` is told."""
    join = shape.get("join", "\n")
    plays = [play for play in PLAYS if play[shape.get("of", "always")]]
    files = [*grouped(plays, f"data/{shape['file']}")]
    for name, of_file in files:
        others = [
            fill(row, play) for play in of_file[:6] for row in shape.get("noise", ())
        ]
        blocks = [join.join([*(fill(shape["row"], play) for play in of_file), *others])]
        if "each" in shape:
            blocks = [
                join.join(fill(shape["row"], play) for play in of_listener).join(
                    fill(text, of_listener[0]) for text in shape["each"]
                )
                for _, of_listener in grouped(of_file, "<user>")
            ]
        body = shape.get("between", "\n").join(blocks)
        text = shape.get("head", "") + body + shape.get("tail", "")
        save(Path(name), text, shape.get("save", "utf-8"))
    return files[0][0] if len(files) == 1 else "data"


def save(path: Path, text: str, form: str) -> None:
    """Store a text in an encoding, or its table in a format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form not in ("parquet", "sqlite", "duckdb"):
        path.write_bytes(text.encode(form))
        return
    if form == "sqlite":
        header, *rows = csv.reader(io.StringIO(text))
        with sqlite3.connect(path) as database:
            database.execute(f"CREATE TABLE plays ({', '.join(header)})")
            marks = ", ".join("?" * len(header))
            database.executemany(
                f"INSERT INTO plays VALUES ({marks})",  # noqa: S608  the test's own
                [
                    [int(cell) if cell.isdigit() else cell for cell in row]
                    for row in rows
                ],
            )
        return
    source = path.with_suffix(".tmp")
    source.write_text(text)
    with duckdb.connect(path if form == "duckdb" else ":memory:") as memory:
        memory.execute(f"CREATE TABLE plays AS FROM read_csv('{source}')")
        if form == "parquet":
            memory.execute(f"COPY plays TO '{path}'")
    source.unlink()


def expected(shape: Shape) -> list[dict[str, Any]]:
    """Return the plays that have to come out, by the names of `expect`."""
    columns = shape["expect"]
    only = shape.get("only", "long" if "seconds" in columns else "always")
    return [
        {
            name: round(float(fill(text, play)), 3)
            if name in NUMBERS
            else fill(text, play)
            for name, text in columns.items()
        }
        for play in PLAYS
        if play[only] and play[shape.get("of", "always")]
    ]


def stored(columns: Iterable[str]) -> list[dict[str, Any]]:
    """Return the plays of the store but those that were disliked."""
    store = open_store(Path("store"))
    titles = read_titles(None, store)
    rows = [row for row in rows_by_original_id(store) if not row.get("disliked")]
    start = min(row["timestamp"] or 0 for row in rows)
    plays = []
    for row in rows:
        time, amount = row["timestamp"], row.get("amount")
        moment = datetime.fromtimestamp(round((time or 0) / 1000), UTC)
        title = titles.get(str(row["track"]))
        values = {
            "listener": str(row["user"]),
            "track": str(row["track"]),
            "played_at": f"{moment:%Y-%m-%d %H:%M:%S}",
            "since": ((time or 0) - start) / 1000,
            "position": time,
            "seconds": amount,
            "weight": amount,
            "title": title and title.title,
            "artist": title and title.artist,
            **{name: row.get(name) for name in ("share", "session", "organic")},
        }
        assert ORDERS & {*columns} or time is None
        if not {"share", "seconds", "weight"} & {*columns}:
            assert row.get("share") is None
            assert amount in (None, 0, 1)
            if amount == 0:  # not liked
                continue
        plays.append(
            {
                name: round(float(values[name]), 3) if name in NUMBERS else values[name]
                for name in columns
            }
        )
    return plays


def answered(sql: str, answers: Mapping[str, str]) -> str:
    """Write answers in the place of the questions of a query: columns, and conditions of rows."""
    question = r"error\('(?:[^']|'')*'\)"
    for name, answer in answers.items():
        place = "(?! AS)" if name == "where" else f"(?= AS {name})"
        sql = re.sub(question + place, answer, sql)
    return sql


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_is_read_rightly_or_asked_about(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shape = SHAPES[name]
    code = main(["init", write(shape)])
    shown = capsys.readouterr()
    assert code == (2 if "asks" in shape else 0), shown.err
    query, ingest = Path(QUERY), ["ingest", QUERY, "--store", "store"]
    if "asks" in shape:
        for word in shape["asks"].split(" or "):
            assert word in shown.err
        if "answer" not in shape:
            return
        assert main(ingest) == 2
        query.write_text(answered(query.read_text(), shape["answer"]))
    assert main([*ingest, "--partitions", "1"]) == 0
    plays = stored(shape["expect"])
    counts = [
        Counter(tuple(row.values()) for row in rows)
        for rows in (plays, expected(shape))
    ]
    assert counts[0] == counts[1]
