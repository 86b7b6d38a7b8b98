"""The loop's parts: steps, the service as a process, the configuration that it may go on with."""

import os
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.cli import run
from looplib.config import dump_config
from recsys.errors import LoopError
from recsys.loop.__main__ import PROG, app
from recsys.loop.config import LoopConfig
from recsys.loop.days import recommenders_of
from recsys.loop.foretelling import lists_of_arm
from recsys.loop.outcome import METRIC, growth_of, read_outcome, write_outcomes
from recsys.loop.places import Day, Places
from recsys.loop.processes import run_step
from recsys.loop.service import free_port, serving
from recsys.loop.steps import Step


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


def write_day(folder: Path, day: int, effect_pct: float, spread_pct: float) -> Day:
    """A day whose arm T1 had such an effect, its interval symmetric about the logarithm of the ratio."""
    made = Places(folder).day(day)
    ratio, factor = 1 + effect_pct / 100, 1 + spread_pct / 100
    relative = {
        "effect_pct": effect_pct,
        "lower_pct": 100 * (ratio / factor - 1),
        "upper_pct": 100 * (ratio * factor - 1),
    }
    effect = {"arm": "T1", "metric": METRIC, "control_value": 2.0, "arm_value": 2 * ratio, "relative": relative}
    report = {
        "control": "C",
        "listeners": {"C": 100, "T1": 101},
        "effects": [effect, effect | {"metric": "time"}],
        "verdict": {"decision": "ship", "reason": "why not"},
    }
    made.report.mkdir(parents=True)
    (made.report / "report.json").write_bytes(orjson.dumps(report))
    foretold = {"foretold": 0.3, "measured": 0.4, "error_pct": -25.0, "agrees": False, "arm": "T1"}
    ends = {f"{of}_{end}": foretold[of] for of in ("foretold", "measured") for end in ("lower", "upper")}
    made.foretold.write_bytes(orjson.dumps({"foretold": [foretold | ends]}))
    return made


@pytest.mark.parametrize(
    ("last_pct", "spread_pct", "words"),
    [(200, 10, "grew"), (20, 10, "shrank"), (110, 10, "did not change for certain"), (200, 80, "did not change")],
)
def test_the_days_end_with_a_table_and_whether_what_learns_grew(
    tmp_path: Path, last_pct: float, spread_pct: float, words: str
) -> None:
    names = {"C": "random", "T1": "session_context"}
    days = [write_day(tmp_path, 1, 100, spread_pct), write_day(tmp_path, 2, last_pct, spread_pct)]
    outcomes = [read_outcome(day, names) for day in days]
    write_outcomes(outcomes, tmp_path / "loop.json", tmp_path / "loop.txt")
    text = (tmp_path / "loop.txt").read_text()
    assert f"T1 (session_context): listening time relative to the control {words}" in text
    assert f"+{last_pct}\N{NARROW NO-BREAK SPACE}%" in text
    assert "0.3000 (0.3000 … 0.3000)" in text
    (growth,) = growth_of(outcomes)
    error = np.sqrt(2) * np.log1p(spread_pct / 100)
    assert growth.factor == pytest.approx((1 + last_pct / 100) / 2)
    assert np.log([growth.lower, growth.upper]) == pytest.approx(np.log(growth.factor) + np.array([-error, error]))
    assert [day["arms"][1]["effect_pct"] for day in orjson.loads((tmp_path / "loop.json").read_bytes())] == [
        100,
        last_pct,
    ]


def test_one_day_and_arms_that_do_not_learn_say_nothing_of_growth(tmp_path: Path) -> None:
    days = [write_day(tmp_path, 1, 100, 5), write_day(tmp_path, 2, 300, 5)]
    names = {"C": "random", "T1": "sticky_artist"}
    assert growth_of([read_outcome(day, names) for day in days]) == []
    assert growth_of([read_outcome(days[0], {"C": "random", "T1": "indexed"})]) == []


def test_the_lists_of_an_arm_are_those_of_its_listeners(tmp_path: Path) -> None:
    published = tmp_path / "recommendations.jsonl"
    published.write_bytes(b"".join(orjson.dumps({"user": user, "tracks": [1]}) + b"\n" for user in range(4)))
    day = Places(tmp_path).day(2)
    day.log.mkdir(parents=True)
    events = [{"user": user, "experiments": {"E": arm}} for user, arm in ((0, "C"), (1, "T1"), (3, "T1"))]
    (day.log / "events-1.jsonl").write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    kept = lists_of_arm(day, published, "E", "T1").read_bytes().splitlines()
    assert [orjson.loads(line)["user"] for line in kept] == [1, 3]
