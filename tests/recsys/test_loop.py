"""The loop's parts: steps, the service as a process, the configuration that it may go on with."""

import os
import sys
from pathlib import Path

import pytest

from common.cli import run
from common.config import dump_config
from recsys.errors import LoopError
from recsys.loop.__main__ import PROG, app
from recsys.loop.config import LoopConfig
from recsys.loop.days import recommenders_of
from recsys.loop.service import free_port, serving
from recsys.loop.steps import Step, run_step


def make_module(folder: Path, text: str) -> Step:
    """A step that runs a module of this text."""
    (folder / "a_step.py").write_text(text)
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return Step("A step", "a_step", ["--to", folder / "made"], environment={"PYTHONPATH": path})


def make_config(folder: Path, **changes: object) -> LoopConfig:
    names = ("world", "collect", "search", "service", "report")
    document = {"folder": folder / "loop", "experiment": "E"} | {name: folder / f"{name}.yaml" for name in names}
    return LoopConfig.model_validate(document | changes)


def test_a_step_runs_its_command_and_shows_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_step(make_module(tmp_path, "import sys; open(sys.argv[2], 'w').write('done')"))
    assert (tmp_path / "made").read_text() == "done"
    assert f"python -m a_step --to {tmp_path}/made" in capfd.readouterr().err


def test_a_step_that_is_done_is_not_run_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    step = make_module(tmp_path, "raise SystemExit(1)")
    run_step(Step(step.title, step.module, step.arguments, done=tmp_path / "a_step.py"))
    assert "done already" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "ending"),
    [("raise SystemExit(3)", "exit code 3"), ("import os, signal; os.kill(os.getpid(), 9)", "killed by SIGKILL")],
)
def test_a_step_that_fails_ends_the_loop_in_one_line_with_its_command(tmp_path: Path, text: str, ending: str) -> None:
    with pytest.raises(LoopError, match=rf"^A step: {ending}; the command was: .*python -m a_step --to"):
        run_step(make_module(tmp_path, text))


def test_a_service_that_does_not_start_is_said(tmp_path: Path) -> None:
    step = make_module(tmp_path, "raise SystemExit(2)")
    with pytest.raises(LoopError, match=r"^the service does not start: exit code 2$"), serving(step, free_port()):
        pytest.fail("it does not serve")


SERVER = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_service_that_does_not_last_is_said(tmp_path: Path) -> None:
    port = free_port()
    step = make_module(tmp_path, SERVER.replace("self.end_headers()", "self.end_headers(); os._exit(7)"))
    step = Step(step.title, step.module, step.arguments, environment={**step.environment, "PORT": str(port)})
    with pytest.raises(LoopError, match=r"^the service did not last: exit code 7$"), serving(step, port) as process:
        process.wait(60)


def test_the_arms_are_those_of_the_service(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config.service.write_text(
        "experiments:\n- name: E\n"
        "  arms: [{recommender: random}, {recommender: indexed}, {name: X, recommender: top_pop}]"
    )
    assert recommenders_of(config) == {"C": "random", "T1": "indexed", "X": "top_pop"}
    with pytest.raises(LoopError, match="no experiment F"):
        recommenders_of(make_config(tmp_path, experiment="F"))


def test_a_folder_goes_on_as_the_loop_that_it_began_as(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = make_config(tmp_path)
    began.folder.mkdir()
    (began.folder / "loop.yaml").write_text(dump_config(began))
    other = make_config(tmp_path, traffic={"episodes": 7}, days=3)
    (tmp_path / "other.yaml").write_text(dump_config(other))
    assert run(app, PROG, ["--config", str(tmp_path / "other.yaml")]) == 2
    assert "this loop began with another traffic; name another folder" in capsys.readouterr().err
