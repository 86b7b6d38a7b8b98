"""Install, train, start and replay one entrant, and make its row of the table."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import Field

from listening_loop.errors import LoopError
from listening_loop.processes import free_port, serving
from listening_loop.replay.adapter import load_adapter
from listening_loop.replay.plays import OLDER, NewestPlays
from listening_loop.replay.score import score
from listening_loop.replay.traffic import find_unanswered, join_answers, send_plays
from looplib.config import Config
from looplib.errors import UserError
from looplib.files import atomic_write_text, json_digest, remove, sha256_file

FILE = "entrant.yaml"  # its name in a folder
_SHELL = ("sh", "-c")
_INSTALL_S = 3600
_WALL = 4  # wall seconds that a command has for each CPU second of the budget


class Entrant(Config):
    """A recommender that enters the table; its commands run in its folder, in a shell."""

    name: Annotated[str, Field(pattern="^[^/.][^/]*$")]
    version: str
    licence: str
    tuned_on: str
    """how its parameters were chosen"""
    install: tuple[str, ...] = ()
    """requirements for pip, in an environment of its own; by default it runs in this one"""
    train: str = ""
    """command that learns from the file $PLAYS and writes to the folder $MODEL"""
    start: str
    """command that serves on $PORT of 127.0.0.1; it may learn, too"""
    adapter: str = "session"
    """name of an adapter, or its file"""


def find_files(entrant: Entrant, file: Path) -> list[Path]:
    """Find the files of an entrant: all of its folder, or those that its YAML names."""
    if file.name == FILE:
        paths = {path for path in file.parent.rglob("*") if path.suffix != ".pyc"}
    else:
        words = shlex.split(f"{entrant.train}\n{entrant.start}\n{entrant.adapter}")
        paths = {file.parent / word for word in words if not word.startswith("/")}
    return [file, *sorted(path for path in paths - {file} if path.is_file())]


def run_entrant(
    entrant: Entrant,
    file: Path,
    plays: NewestPlays,
    folder: Path,
    budget_s: int,
    connections: int,
) -> dict[str, Any]:
    """Run an entrant, from its installation to the scores of its answers.

    Args:
        entrant: The entrant.
        file: Its YAML file.
        plays: The plays that it answers.
        folder: Where the plays to learn from are, and answers and logs go.
        budget_s: CPU seconds that it may learn, up to its first answer.
        connections: Requests at a time.

    Returns:
        Costs and scores for its row; if something failed, the reason.
    """
    answers = folder / "answers" / f"{entrant.name}.jsonl"
    log = folder / "log" / f"{entrant.name}.log"
    for path in (answers, log):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    older = (folder / OLDER).resolve()
    variables = {"PLAYS": older, "SECONDS": budget_s, "PYTHONHASHSEED": 0}
    options: dict[str, Any] = {"cwd": file.parent, "env": {**os.environ}}
    options["env"] |= {name: str(value) for name, value in variables.items()}
    address = entrant.adapter
    if (file.parent / address).is_file():
        address = str(file.parent / address)
    port = free_port()
    try:
        with log.open("r+") as output:
            adapter = load_adapter(address)
            steps = options | {"stdout": output, "stderr": subprocess.STDOUT}
            cpu_s = _prepare(entrant, file, folder, budget_s, steps)
            options["env"] |= {"PORT": str(port)}
            service = serving(
                [entrant.start],
                port,
                adapter.ready,
                output,
                _WALL * budget_s,
                program=_SHELL,
                **options,
            )
            with service as process:
                cpu_s += sum(map(_cpu_s, _tree(process.pid)))
                if cpu_s > budget_s:
                    raise LoopError(
                        f"learned for {cpu_s:.0f} CPU seconds; allowed are {budget_s}"
                    )
                url, began = f"http://127.0.0.1:{port}", time.perf_counter()
                sessions = find_unanswered(plays, 0, answers)
                send_plays(plays, sessions, url, adapter, answers, connections)
                seconds = time.perf_counter() - began
                memory = sum(part.memory_full_info().pss for part in _tree(process.pid))
    except UserError as error:
        said = log.read_text(errors="replace").strip().rpartition("\n")[-1]
        return {"failure": f"{error}; its log ends: {said[-300:]}"}
    joined = join_answers(answers)
    cost = {
        "cpu_s": round(cpu_s, 3),
        "mib": memory >> 20,
        "requests_per_s": round(len(plays.tracks) / seconds, 1),
        "p50_ms": joined.p50_ms,
        "p99_ms": joined.p99_ms,
    }
    return {
        "failure": None,
        "failed_requests": joined.failures,
        "cost": cost,
        "answers": json_digest(joined.predictions[:, :2].tolist()),
        "scores": score(plays, {entrant.name: joined.predictions})[0],
    }


def _prepare(
    entrant: Entrant, file: Path, folder: Path, budget_s: int, options: dict[str, Any]
) -> float:
    """Install an entrant and train it, unless that is done; entrants share both.

    Returns:
        The CPU seconds of its training.
    """
    environment, programs = options["env"], Path(sys.executable).parent
    if entrant.install:
        made = (folder / "environments" / json_digest(entrant.install)[:12]).resolve()
        programs = made / "bin"
        if not (made / FILE).exists():
            pip = shlex.join(["bin/python", "-m", "pip", "install", *entrant.install])
            venv = shlex.join([sys.executable, "-m", "venv", "--clear", str(made)])
            _run(f"{venv} && cd {shlex.quote(str(made))} && {pip}", _INSTALL_S, options)
            (made / FILE).touch()
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    named = find_files(entrant.model_copy(update={"start": "", "adapter": ""}), file)
    learned = [sha256_file(path) for path in (folder / OLDER, *named[1:])]
    key = json_digest([entrant.install, entrant.train, learned])[:12]
    model = (folder / "trained" / key).resolve()
    environment["MODEL"] = str(model)
    done = model.with_suffix(".cpu-s")
    if not done.exists():
        remove(model)
        model.mkdir(parents=True)
        cpu_s = _run(entrant.train, _WALL * budget_s, options)
        atomic_write_text(done, str(cpu_s))
    return float(done.read_text())


def _run(command: str, limit_s: float, options: Mapping[str, Any]) -> float:
    """Run a command.

    Returns:
        The CPU seconds of all its processes, read five times a second: a process that nobody waits
        for, such as a worker of Dask, is in no sum of the system.

    Raises:
        LoopError: It fails, or takes too long.
    """
    deadline = time.monotonic() + limit_s
    cpu_s: dict[psutil.Process, float] = {}
    with subprocess.Popen([*_SHELL, command], process_group=0, **options) as process:  # noqa: S603
        try:
            while process.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    for part in _tree(process.pid):
                        cpu_s[part] = sum(part.cpu_times()[:2])
                if time.monotonic() > deadline:
                    raise LoopError(f"{command}: not done in {limit_s:.0f} s")
                time.sleep(0.2)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise LoopError(f"{command}: exit code {process.returncode}")
    return sum(cpu_s.values())


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    """Read the CPU seconds of a process and of its children that have ended."""
    return sum(process.cpu_times()[:4])
