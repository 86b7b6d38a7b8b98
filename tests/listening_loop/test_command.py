"""The command `listening-loop`: every step under one name."""

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from listening_loop import loop
from listening_loop.command import STEPS, main
from listening_loop.loop import LoopConfig
from tests.conftest import Run
from tests.programs import run_python

pytestmark = pytest.mark.dask


def test_the_steps_are_told(printed: Run, refusal: Run) -> None:
    shown = printed()
    assert all(f"  {name} " in shown for name in STEPS)
    assert refusal("serach").startswith(
        "listening-loop: error: no command serach; the nearest is search"
    )
    assert refusal("search", "--config", "nowhere.yaml").startswith(
        "listening-loop search: error: nowhere.yaml: cannot be read"
    )


@pytest.mark.parametrize("name", STEPS)
def test_the_help_of_a_step_has_an_example_of_this_command(
    name: str, printed: Run
) -> None:
    shown = " ".join(printed(name, "--help").split())
    assert shown.startswith(f"Usage: listening-loop {name}")
    assert re.search(f"Examples?: listening-loop {name}", shown)
    if name not in (
        "ab",
        "bench",
        "demo",
        "doctor",
        "init",
        "replay",
        "serve",
        "simulate",
    ):
        assert "[required]" in shown


def with_own(tmp_path: Path, module: str, text: str) -> dict[str, str]:
    """Return the environment of a command that imports this text as a module."""
    (tmp_path / f"{module}.py").write_text(text)
    path = [str(tmp_path), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def test_a_library_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path,
) -> None:
    text = "raise ModuleNotFoundError('No module named dask', name='dask')"
    environment = with_own(tmp_path, "dask", text)
    done = run_python("-m", "recsys.search", "--help", env=environment)
    assert done.returncode == 2
    advice = "pip install 'listening-loop' brings it"
    assert done.stderr == f"error: dask is not installed; {advice}\n"


def test_a_name_whose_library_is_missing_says_which_extra_installs_it(
    tmp_path: Path,
) -> None:
    text = "raise ModuleNotFoundError('No module named implicit', name='implicit')"
    code = (
        "import listening_loop as ll\n"
        "try: ll.AlternatingLeastSquares\n"
        "except ll.Error as error: print(error)"
    )
    done = run_python("-c", code, env=with_own(tmp_path, "implicit", text))
    advice = "pip install 'listening-loop[implicit]' brings it"
    assert done.stdout == f"implicit is not installed; {advice}\n"


def test_doctor_prints_versions_and_the_processor() -> None:
    done = run_python("-m", "listening_loop.command", "doctor")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["numpy"] == version("numpy")
    assert lines["cores"] == str(len(os.sched_getaffinity(0)))
    assert str(Path.home()) not in done.stdout


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("dask", ["listening_loop.command", "search", "--help"]),
        ("typer", ["botify"]),
        ("pydantic", ["botify"]),
    ],
)
def test_ctrl_c_during_imports_is_one_line(
    tmp_path: Path, module: str, command: list[str]
) -> None:
    text = "import time\nprint('imports', flush=True)\ntime.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        env=with_own(tmp_path, module, text),
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


def test_the_demo_finds_the_configurations_that_are_shipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    called: list[LoopConfig] = []
    monkeypatch.setattr(loop, "run_loop", lambda config, _: called.append(config))
    assert main(["demo", "--folder", "here"]) == 0
    (found,) = called
    assert found.folder == Path("here")
    for file in (found.world, found.collect, found.search, found.service):
        assert file.exists()


def test_an_export_without_a_catalogue_is_one_line(
    tmp_path: Path, refusal: Run
) -> None:
    line = refusal("serve", "--published", tmp_path)
    assert "no export with a catalogue is here; make one with listening-loop" in line
    assert "--set catalogue=PATH" in line
