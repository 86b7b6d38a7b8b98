"""`listening-loop bench`: entrants trained, replayed and compared, also those that fail."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from listening_loop.bench import entrant
from listening_loop.bench.command import find_entrants
from listening_loop.bench.entrant import Entrant, find_files
from listening_loop.replay.adapter import load_adapter
from looplib.config import load_config
from tests.conftest import Run
from tests.listening_loop.replay.conftest import TRACKS, write_plays

COLUMNS = "listener=u,track=i,artist=a,played_at=timestamp"
ENTRANTS = Path(__file__).parents[3] / "benchmarks/entrants"
SCHEMA = json.loads(Path(entrant.__file__).with_name("row.schema.json").read_text())
# A service of the standard library; `rank` is the entrant's own.
SERVICE = """
import csv, json, os, sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def rank(tracks, n):
    {rank}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps(rank(body["session"], body["n"])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def do_GET(self):
        self.send_error(404)
    def log_message(self, *_):
        pass
older = [row["track"] for row in csv.DictReader(open(os.environ["PLAYS"]))]
popular = [track for track, _ in Counter(older).most_common()]
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
RANKS = {
    "popular": "return popular[:n]",
    "chain": f"return [f't{{(int(tracks[-1][1:]) + 3 * k) % {TRACKS}}}' for k in range(n)]",
}


def enter(folder: Path, name: str, start: str) -> Path:
    """Write a YAML file of an entrant."""
    facts = {"name": name, "version": "1", "licence": "MIT", "tuned_on": "nothing"}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(facts | {"start": start}))
    return file


@pytest.fixture
def entrants(tmp_path: Path) -> Path:
    folder = tmp_path / "entrants"
    folder.mkdir()
    for name, rank in RANKS.items():
        (folder / f"{name}.py").write_text(SERVICE.replace("{rank}", rank))
        started = f"echo started >> $PWD/../{name}.started && rmdir $WORK"
        enter(folder, name, f"{started} && exec python {name}.py")
    enter(folder, "broken", "echo no such model >&2; exit 3")
    return folder


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    rows = {file.stem: json.loads(file.read_text()) for file in out.glob("rows/*")}
    for row in rows.values():
        jsonschema.validate(row, SCHEMA)
    return rows


def value_of(row: dict[str, Any], metric: str, group: str = "all") -> float:
    scores = {(score["metric"], score["group"]): score for score in row["scores"]}
    return float(scores[metric, group]["value"])


@pytest.mark.slow
def test_entrants_become_rows_and_the_same_command_goes_on(
    tmp_path: Path, entrants: Path, printed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plays, out = write_plays(Path("plays.csv"), "timestamp"), Path("out/bench")
    words = ["bench", plays, "--columns", COLUMNS, "--out", out, "--entrant", entrants]
    shown = printed(*words)
    assert "chain is better than popular: precision@20" in shown
    assert "broken failed: it has ended: exit code 3; its log ends: no such" in shown
    rows = rows_of(out)
    assert rows["broken"]["failure"].endswith("no such model")
    chain, popular = rows["chain"], rows["popular"]
    assert value_of(chain, "precision@1") > 0.5 > value_of(popular, "precision@1")
    assert chain["cost"]["plays_per_s"] > 0
    assert chain["cost"]["mib"] > 1
    assert chain["cost"]["cpu_s"] > 0
    assert chain["failed_requests"] == {}
    page = (out / "report.html").read_text()
    assert page.index("chain</th>") < page.index("popular</th>")
    assert "broken failed" in page
    # only what has changed runs again
    changed = entrants / "popular.py"
    changed.write_text(changed.read_text().replace("popular[:n]", "popular[::-1][:n]"))
    enter(entrants, "broken", f"exec python {changed.name}")
    printed(*words)
    again = rows_of(out)
    assert again["chain"] == chain
    assert again["popular"]["answers"] != popular["answers"]
    assert again["broken"]["answers"] == again["popular"]["answers"]
    assert (tmp_path / "chain.started").read_text() == "started\n"
    # nobody predicts what is drawn at random
    drawn = Path("random")
    random = [*words[:4], "--out", drawn, "--random-futures", "--entrant"]
    shown = printed(*random, entrants / "chain.yaml")
    assert "chain is at chance, 0.40816: 0." in shown
    assert value_of(rows_of(drawn)["chain"], "precision@1") < 0.1


@pytest.mark.slow
def test_the_entrant_of_the_docs_enters(tmp_path: Path, printed: Run) -> None:
    text = (Path(__file__).parents[3] / "docs/bench.md").read_text()
    (described,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (program,) = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    mine, out = tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    # its libraries are installed here
    (mine / "entrant.yaml").write_text(re.sub("install:.*", "", described))
    (mine / "mine.py").write_text(program)
    plays = write_plays(tmp_path / "plays.csv", "timestamp")
    printed("bench", plays, "--columns", COLUMNS, "--out", out, "--entrant", mine)
    row = rows_of(out)["My recommender"]
    assert row["lines"] <= 40
    assert value_of(row, "precision@20") > 0


@pytest.mark.slow
def test_an_entrant_over_its_budget_and_one_that_never_ends_are_rows(
    tmp_path: Path, entrants: Path, refusal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = write_plays(tmp_path / "plays.csv", "timestamp")
    busy = "python -c 'import time\nwhile time.process_time() < 1.2: pass'"
    late = enter(entrants, "late", f"{busy} && exec python chain.py")
    words = ["bench", plays, "--columns", COLUMNS, "--budget", "1"]
    words += ["--out", tmp_path / "out", "--entrant"]
    problem = refusal(*words, late)
    assert re.search(
        "late failed: not ready after . CPU seconds, allowed .* 1,", problem
    )
    monkeypatch.setattr(entrant, "_WALL", 1)
    asleep = enter(entrants, "asleep", "sleep 600")
    problem = refusal(*words, asleep)
    assert "asleep failed: not ready after 0 CPU seconds" in problem


def test_what_is_no_entrant_is_refused(
    tmp_path: Path, entrants: Path, refusal: Run
) -> None:
    words = ["bench", "plays.csv", "--columns", COLUMNS, "--out", tmp_path, "--entrant"]
    assert "a YAML file is expected, or a folder" in refusal(*words, tmp_path / "none")
    (entrants / "popular.yaml").write_text((entrants / "chain.yaml").read_text())
    assert "a second entrant is named chain" in refusal(*words, entrants)
    (entrants / "chain.yaml").write_text("name: a/b\nstarts: x")
    problem = refusal(*words, entrants)
    assert "starts: unknown key; the nearest known key is start" in problem


def test_the_shipped_entrants_can_be_read_and_are_short() -> None:
    files = [*find_entrants([ENTRANTS])]
    read = [load_config(Entrant, file) for file in files]
    assert len({values.name for values in read}) == len(files) >= 12
    for values, file in zip(read, files, strict=True):
        assert load_adapter(values.adapter)
        for part in find_files(values, file):
            most = 115 if part.stem == "plain_trees" else 60
            assert len(part.read_text().splitlines()) <= most


def test_the_rows_of_the_repository_fit_the_schema_and_are_in_the_docs() -> None:
    files = [*ENTRANTS.glob("rows/*/*.json")]
    assert files
    page = (Path(__file__).parents[3] / "docs/bench.md").read_text()
    for file in files:
        row = json.loads(file.read_text())
        jsonschema.validate(row, SCHEMA)
        assert row["entrant"]["name"] == file.stem
        share = f"{value_of(row, 'precision@20'):.3f}".removeprefix("0")
        assert re.search(rf"\| `?{re.escape(file.stem)}`? \|.* {share} \|", page)
