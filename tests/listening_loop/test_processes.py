"""The loop's processes: steps, and the service."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from listening_loop import processes
from listening_loop.client import ServiceClient
from listening_loop.errors import LoopError
from listening_loop.processes import command, locked_folder, run_step, serving
from tests.programs import free_port


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    )
    monkeypatch.setattr(processes, "PROGRAM", "a_step")


def make_module(folder: Path, text: str) -> list[str]:
    """A step that runs a module of this text."""
    (folder / "a_step.py").write_text(text)
    return command("a_step", to=folder / "made")


def test_a_step_shows_its_command_and_runs_it_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    step = make_module(tmp_path, "import sys; open(sys.argv[3], 'x').write('done')")
    for _ in range(2):
        run_step("A step", step, done=made)
    assert made.read_text() == "done"
    shown = capfd.readouterr().err
    assert f"listening-loop a_step --to {made}" in shown
    assert "done already" in shown


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_a_step_that_fails_ends_the_loop_in_one_line_with_its_command(
    tmp_path: Path, text: str, ending: str
) -> None:
    message = rf"^A step: {ending}; the command was: .*listening-loop a_step --to"
    with pytest.raises(LoopError, match=message):
        run_step("A step", make_module(tmp_path, text))


def test_a_service_that_does_not_start_is_said(tmp_path: Path) -> None:
    step = make_module(tmp_path, "raise SystemExit(2)")
    with (
        pytest.raises(LoopError, match=r"^the service failed: exit code 2$"),
        serving(step, free_port()),
    ):
        pytest.fail("it does not serve")


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    step = make_module(tmp_path, "raise SystemExit(2)")
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(LoopError, match=r"^port \d+: taken by another program"),
        serving(step, other.getsockname()[1]),
    ):
        pytest.fail("another program answers")


SERVER = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health/ready":
            print("the disk is full", flush=True)
            os._exit(7)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def fail(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Let the server fail."""
    with suppress(LoopError):
        ServiceClient(f"http://127.0.0.1:{port}").ask("GET", "/")
    server.wait(60)


def test_a_service_that_fails_meanwhile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    step = make_module(tmp_path, SERVER)
    monkeypatch.setenv("PORT", str(port))
    message = "^the service failed: exit code 7; the disk is full$"
    with pytest.raises(LoopError, match=message), serving(step, port) as process:
        fail(process, port)


STARTER = """
import sys
from contextlib import suppress
from pathlib import Path
from listening_loop import processes
from listening_loop.client import ServiceClient
from listening_loop.processes import command, locked_folder, run_step
processes.PROGRAM = "a_step"
with locked_folder(Path(sys.argv[1])):
    run_step("A step", command("a_step"))
"""
STEP = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def start_step(folder: Path) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """A loop whose step runs, and that step."""
    (folder / "a_step.py").write_text(STEP)
    argv = [sys.executable, "-c", STARTER, str(folder)]
    starter = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    return starter, psutil.Process(int(starter.stdout.readline()))


def test_a_second_loop_is_refused_until_the_first_is_killed_and_ends_its_step(
    tmp_path: Path,
) -> None:
    starter, step = start_step(tmp_path)
    with starter:
        with pytest.raises(LoopError, match="another loop runs here"):
            locked_folder(tmp_path).__enter__()
        assert step.is_running()
        starter.kill()
        starter.wait(60)
        assert step.is_running()
        with locked_folder(tmp_path):
            assert not step.is_running()


def test_a_loop_that_is_terminated_ends_its_step(tmp_path: Path) -> None:
    starter, step = start_step(tmp_path)
    with starter:
        starter.terminate()
        assert starter.wait(60) != 0
    assert not step.is_running()
