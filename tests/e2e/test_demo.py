"""The README's first command, as tox.ini has it, in a folder of its own."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.pages import ROOT, blocks_of

SMALLER = ["--set", "traffic.episodes=5000"]
SMALLER_SEARCH = {
    "search": {
        "space": {"factors": [32], "regularization": [10.0], "alpha": [10.0]},
        "sweeps": 6,
        "score_every": 3,
    },
}


def demo_commands() -> list[list[str]]:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    lines = tox["testenv:demo"]["commands"].replace("\\\n", " ").strip().splitlines()
    return [
        shlex.split(line.replace("{posargs}", shlex.join(SMALLER))) for line in lines
    ]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    (command,) = demo_commands()
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "configs", folder / "configs")
    search = yaml.safe_load((folder / "configs/demo.yaml").read_text())
    (folder / "configs/demo.yaml").write_text(yaml.safe_dump(search | SMALLER_SEARCH))
    report = (folder / "configs/ab.yaml").read_text()
    # a quarter of the sessions makes the guardrails' intervals twice as wide
    report = report.replace("margin_pct: 10", "margin_pct: 25")
    (folder / "configs/ab.yaml").write_text(report)
    done = run_demo(folder)
    before, _, ending = done.stdout.rpartition("\nShip ")
    assert ending, before[-4000:]
    (folder / "ending.txt").write_text(f"Ship {ending}")
    return folder


def shape(ending: str) -> str:
    """How the demo ends, without numbers, and without what the verdict says of the arms."""
    headline, lines = ending.split("(", 1)[0], ending.partition("\nexperiment ")[2]
    return re.sub(r"T\d|\d[\d.,]*", "", " ".join((headline + lines).split()))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_start_shows_how_the_demo_ends(demo: Path) -> None:
    blocks = blocks_of(ROOT / "docs" / "quickstart.md")
    (shown,) = (block.text for block in blocks if block.text.startswith("Ship "))
    assert shape((demo / "ending.txt").read_text()) == shape(shown)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_leads_from_nothing_to_a_win_that_can_be_trusted(demo: Path) -> None:
    (day,) = json.loads((demo / "out/demo/loop.json").read_text())
    assert day["verdict"]["decision"] == "ship"
    first = (demo / "ending.txt").read_text().splitlines()[0]
    for arm, recommender in day["recommenders"].items():
        assert f"{arm} ({recommender})" in first
    effects = [effect["relative"] for effect in day["effects"]]
    assert max(effect["effect_pct"] for effect in effects) > 41, (
        "as much as one artist's tracks brought in the original course"
    )
    assert all(effect["lower_pct"] > 0 for effect in effects), "all beat random, surely"
    (predicted,) = {prediction["name"] for prediction in day["predictions"]}
    assert day["recommenders"][predicted] == "indexed"
    report = json.loads((demo / "out/demo/days/1/report/report.json").read_text())
    assert report["verdict"]["decision"] == "ship"
    assert report["srm"]["mismatch"] is False
    assert report["lines"]["rejected"] == 0
    assert (demo / "out/demo/days/1/report/report.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_publishes_a_model_better_than_the_baselines(demo: Path) -> None:
    board = pq.read_table(demo / "out/demo/days/1/run/leaderboard.parquet").to_pylist()
    best = {
        model: max(row["ndcg@30"] for row in board if row["model"] == model)
        for model in ("als", "popular", "random")
    }
    assert best["als"] > best["popular"] > best["random"]
    published = demo / "out/demo/published/current"
    lists = [
        json.loads(line)
        for line in (published / "recommendations.jsonl").read_text().splitlines()
    ]
    assert [line["user"] for line in lists] == list(range(1500))
    assert all(len(set(line["tracks"])) == 30 for line in lists)
    assert {
        "factors.npz",
        "history.npz",
        "session_model.npz",
        "tracks.json",
        "manifest.json",
    } <= {f.name for f in published.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_run_again_does_nothing_twice(demo: Path) -> None:
    logs = {
        file: file.read_bytes()
        for file in (demo / "out/demo/days/1/log").glob("events-*")
    }
    outcome = (demo / "out/demo/loop.json").read_bytes()
    done = run_demo(demo)
    assert (
        done.stderr.count("done already") == 6
    )  # ingest, search, export, report, training lists, predictions
    assert {
        file: file.read_bytes()
        for file in (demo / "out/demo/days/1/log").glob("events-*")
    } == logs
    assert (demo / "out/demo/loop.json").read_bytes() == outcome
