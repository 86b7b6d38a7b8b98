"""The README's first command: every step of `tox -e demo`, as tox.ini has it, in a folder of its own."""

import configparser
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]


def demo_commands() -> list[list[str]]:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    lines = tox["testenv:demo"]["commands"].replace("\\\n", " ").strip().splitlines()
    return [shlex.split(line.replace("{posargs}", "")) for line in lines]


@pytest.mark.slow
def test_the_demo_leads_from_nothing_to_recommendations(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command in demo_commands():
        assert command[0] == "python"
        done = subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    run = tmp_path / "out" / "demo" / "run"
    board = pq.read_table(run / "leaderboard.parquet").to_pylist()
    best = {
        model: max(row["ndcg@30"] for row in board if row["model"] == model) for model in ("als", "popular", "random")
    }
    assert best["als"] > best["popular"] > best["random"]
    lists = [json.loads(line) for line in (run / "export/current/recommendations.jsonl").read_text().splitlines()]
    assert [line["user"] for line in lists] == list(range(1000))
    assert all(len(set(line["tracks"])) == 30 for line in lists)
    assert done.stdout.count("out/demo/run/") >= 4
    assert "Next" in done.stdout
