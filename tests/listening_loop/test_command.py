"""The command `listening-loop`: every step under one name."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.logs.columns import Reading, parse_columns
from listening_loop import demo
from listening_loop.command import STEPS, main
from listening_loop.config import LoopConfig
from listening_loop.init import look_at
from looplib.config import load_config
from recsys.config import SearchConfig
from tests.recsys.logs import random_sessions, write_log

COMMAND = [sys.executable, "-m", "listening_loop.command"]
pytestmark = pytest.mark.dask


def test_the_version_and_the_steps_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("listening-loop 0.")
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in STEPS)
    assert main(["verify", "out"]) == 2
    assert "verify was removed" in capsys.readouterr().err
    assert main(["serach"]) == 2
    assert capsys.readouterr().err.startswith(
        "listening-loop: error: no command serach; the nearest is search"
    )


@pytest.mark.parametrize("name", STEPS)
def test_the_help_of_a_step_has_an_example_of_this_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith(f"Usage: listening-loop {name}")
    assert f"Example: listening-loop {name}" in shown
    if name not in ("demo", "lab", "serve"):
        assert "[required]" in shown


def test_an_error_names_the_command_that_was_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["search", "--config", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err.startswith(
        "listening-loop search: error: nowhere.yaml: cannot be read"
    )


def with_own_dask(tmp_path: Path, text: str) -> dict[str, str]:
    """Return the environment of a command that imports this text as Dask."""
    (tmp_path / "dask.py").write_text(text)
    path = [str(tmp_path), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def test_a_library_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path,
) -> None:
    text = "raise ModuleNotFoundError('No module named dask', name='dask')"
    done = subprocess.run(
        [sys.executable, "-m", "recsys.search", "--help"],
        env=with_own_dask(tmp_path, text),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    advice = "pip install '.[all]' in the clone brings it"
    assert done.stderr == f"error: dask is not installed; {advice}\n"


def test_ctrl_c_during_imports_is_one_line(tmp_path: Path) -> None:
    text = "import time\nprint('imports', flush=True)\ntime.sleep(600)"
    with subprocess.Popen(
        [*COMMAND, "search", "--help"],
        env=with_own_dask(tmp_path, text),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "imports\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; nothing half-written is left\n"


def write_plays(file: Path, rows: list[str]) -> Path:
    file.write_text("\n".join(rows) + "\n")
    return file


def test_init_guesses_columns_scale_and_split_and_the_result_is_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{day * 86_400 + user},u{user},t{day},{10 ** (day % 6)}"
        for day in range(20)
        for user in range(5)
    ]
    file = write_plays(
        tmp_path / "my plays.csv", ["Played-At,User ID,song,Play_Count", *rows]
    )
    assert main(["init", str(file)]) == 0
    _, *steps = capsys.readouterr().out.splitlines()
    ingest, search = map(shlex.split, steps)
    columns = "user=User ID,item=song,weight=Play_Count,timestamp=Played-At"
    assert ingest[1:] == [
        *("ingest", str(file), "--store", "out/my plays/store", "--columns", columns)
    ]
    assert search[1:] == ["search", "--config", "my plays.yaml"]
    text = (tmp_path / "my plays.yaml").read_text()
    assert all(step.strip() in text for step in steps)
    config = load_config(SearchConfig, tmp_path / "my plays.yaml")
    assert (config.split.kind, config.feedback.scale) == ("newest", "log")
    assert main(["init", str(file)]) == 2
    assert "plays.yaml: there already" in capsys.readouterr().err


def test_init_knows_an_event_log_and_asks_for_columns_that_it_cannot_guess(
    tmp_path: Path,
) -> None:
    log = write_log(
        tmp_path / "events.jsonl", random_sessions(1, listeners=3, tracks=9, sessions=5)
    )
    assert look_at(log).reading is None
    other = write_plays(tmp_path / "odd.csv", ["a,b,c", "1,2,3"])
    assert main(["init", str(other), "--out", str(tmp_path / "odd.yaml")]) == 2
    found = look_at(other, parse_columns("user=a,item=b")).reading
    assert found == Reading(parse_columns("user=a,item=b"))


def test_init_sees_positions_and_whether_tracks_are_heard_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{user},{play},t{user + play % 7},a{play % 3}"
        for user in range(9)
        for play in range(30)
    ]
    header = "listener,position,track,artist"
    assert (
        main(["init", str(write_plays(tmp_path / "again.csv", [header, *rows]))]) == 0
    )
    again = load_config(SearchConfig, tmp_path / "again.yaml")
    assert (again.split.kind, again.split.holdout) == ("newest", 0.2)
    assert (again.validation.filter_seen, again.export.filter_seen) == (False, False)
    assert {*again.search.models.model_dump(exclude_none=True)} == {
        *("activation", "item_knn", "blend")
    }
    assert again.search.widen
    assert again.search.space.model_dump()["factors"] == (16,)
    text = (tmp_path / "again.yaml").read_text()
    assert "user=listener,item=track,position=position,artist=artist" in text
    assert "77% of the rows repeat a pair" in text
    once = [f"u{user},t{track}" for user in range(300) for track in range(200)]
    assert (
        main(["init", str(write_plays(tmp_path / "once.csv", ["user,item", *once]))])
        == 0
    )
    pairs = load_config(SearchConfig, tmp_path / "once.yaml")
    assert (pairs.split.kind, pairs.split.holdout) == ("session_hash", 0.15)
    assert (pairs.validation.filter_seen, pairs.export.filter_seen) == (True, True)
    assert {*pairs.search.models.model_dump(exclude_none=True)} == {"item_knn"}
    assert pairs.search.space.model_dump()["factors"] == (32, 64)


def test_init_of_a_published_pair_keeps_the_test_file_out_of_the_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_plays(tmp_path / "train.dat", ["2 17 4", "0", "1 17"])
    assert main(["init", str(file), "--preset", "citeulike", "--out", "pair.yaml"]) == 0
    assert (
        f"ingest {file} --store out/pair/store --preset citeulike"
        in capsys.readouterr().out
    )
    config = load_config(SearchConfig, Path("pair.yaml"))
    assert (config.split.kind, config.split.train, config.split.test) == (
        "files",
        ("train.dat",),
        (),
    )
    assert (
        config.validation.filter_seen,
        config.export.filter_seen,
        config.validation.min_time,
    ) == (True, True, 1)


def test_the_demo_finds_the_configurations_that_are_shipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    called: list[LoopConfig] = []
    monkeypatch.setattr(demo, "run_loop", called.append)
    assert main(["demo", "--folder", "here", "--serve"]) == 2
    assert main(["demo", "--folder", "here"]) == 0
    (settings,) = called
    assert settings.folder == Path("here")
    assert all(
        getattr(settings, part).exists()
        for part in ("world", "collect", "search", "service", "report")
    )


def test_an_export_without_a_catalogue_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--published", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no catalogue" in line
    assert "--set catalogue=PATH" in line
