"""Install, start and replay an entrant, and make its row of the table."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import psutil
from pydantic import Field

from listening_loop.doctor import describe_machine
from listening_loop.errors import LoopError
from listening_loop.processes import describe_exit, free_port, is_ready
from listening_loop.replay.adapter import load_adapter
from listening_loop.replay.plays import OLDER, NewestPlays
from listening_loop.replay.score import score
from listening_loop.replay.traffic import find_unanswered, join_answers, send_plays
from looplib.config import Config
from looplib.errors import UserError
from looplib.files import atomic_write_json, json_digest, remove, sha256_file

FILE = "entrant.yaml"  # its name in a folder
_WALL = 4  # wall seconds until the first answer, for each CPU second of the budget
_POLL_S = 0.2


class Entrant(Config):
    """A recommender that enters the table."""

    name: Annotated[str, Field(pattern="^[^/.][^/]*$")]
    version: str
    licence: str
    tuned_on: str
    """how its parameters were chosen"""
    install: tuple[str, ...] = ()
    """requirements for pip, in an environment of its own; by default it runs in this one"""
    start: str
    """command of a shell, in the folder of the file, that learns from the file $PLAYS and serves
    on $PORT of 127.0.0.1"""
    adapter: str = "session"
    """name of an adapter, or its file"""


def find_files(entrant: Entrant, file: Path) -> list[Path]:
    """Find the files of an entrant: all of its folder, or the files that its YAML names."""
    if file.name == FILE:
        paths = {path for path in file.parent.rglob("*") if path.suffix != ".pyc"}
    else:
        words = re.findall(r"[\w./-]+", f"{entrant.start} {entrant.adapter}")
        paths = {file.parent / word for word in words if not word.startswith("/")}
    return [file, *sorted(path for path in paths - {file} if path.is_file())]


def measure(
    entrant: Entrant,
    file: Path,
    plays: NewestPlays,
    folder: Path,
    limits: Mapping[str, int],
) -> dict[str, Any]:
    """Measure an entrant, and write its row, unless it is there.

    Args:
        entrant: The entrant.
        file: Its YAML file.
        plays: The plays that it answers.
        folder: Where the plays to learn from are, and its answers, log and row go.
        limits: `budget_s`, the CPU seconds until its first answer; `connections`, the requests at a
            time.

    Returns:
        Its row. If something failed, `failure` is the reason.
    """
    files = find_files(entrant, file)
    lines = [line for path in files for line in path.read_bytes().splitlines()]
    row = {
        "key": json_digest([plays.protocol, [*map(sha256_file, files)], limits]),
        "entrant": entrant.model_dump(),
        "lines": sum(bool(line.strip()) for line in lines),
        "replay": plays.protocol,
        **limits,
        "machine": describe_machine(),
        "failure": None,
    }
    target = folder / "rows" / f"{entrant.name}.json"
    if target.exists():
        written: dict[str, Any] = orjson.loads(target.read_bytes())
        if written["key"] == row["key"] and not written["failure"]:
            return written
    log = folder / "log" / f"{entrant.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("w") as output:
            row |= _replay(entrant, file, plays, folder, limits, output)
    except (UserError, psutil.Error) as error:
        said = log.read_text(errors="replace").strip().rpartition("\n")[-1]
        row["failure"] = f"{error}; its log ends: {said[-300:]}"
    atomic_write_json(target, row)
    return row


def _replay(
    entrant: Entrant,
    file: Path,
    plays: NewestPlays,
    folder: Path,
    limits: Mapping[str, int],
    output: IO[str],
) -> dict[str, Any]:
    """Install, start and replay an entrant, and score its answers."""
    is_file = (file.parent / entrant.adapter).is_file()
    adapter = load_adapter(
        str(file.parent / entrant.adapter) if is_file else entrant.adapter
    )
    answers = folder / "answers" / f"{entrant.name}.jsonl"
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.write_bytes(b"")
    work = (folder / "work").resolve()  # empty for each entrant
    remove(work)
    work.mkdir()
    port, programs = free_port(), _install(entrant.install, folder, output)
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PLAYS": (folder / OLDER).resolve(),
        "WORK": work,
        "PORT": port,
        "SECONDS": limits["budget_s"],
        "PYTHONHASHSEED": 0,
    }
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(  # noqa: S603  the entrant's own command
        ["/bin/sh", "-c", entrant.start],
        cwd=file.parent,
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdout=output,
        stderr=output,
        process_group=0,
        close_fds=False,  # bench's next run ends what has this run's lock open
    ) as process:
        try:
            cpu_s = _wait(process, url + adapter.ready, limits["budget_s"])
            began = time.perf_counter()
            sessions = find_unanswered(plays, 0, answers)
            connections = limits["connections"]
            send_plays(plays, sessions, url, adapter, answers, connections)
            seconds = time.perf_counter() - began
            parts = _tree(process.pid)
            memory = sum(part.memory_full_info().pss for part in parts)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    predictions, made = join_answers(answers)
    cost = {
        "cpu_s": round(cpu_s, 3),
        "mib": memory >> 20,
        "plays_per_s": round(len(plays.tracks) / seconds, 1),
        **made["latency"],
    }
    return {
        "failed_requests": made["failures"],
        "cost": cost,
        "answers": json_digest(predictions[:, :2].tolist()),
        "scores": score(plays, {entrant.name: predictions})[0],
    }


def _install(requirements: tuple[str, ...], folder: Path, output: IO[str]) -> Path:
    """Make a virtual environment of requirements, unless it is there.

    Returns:
        The folder of its programs; without requirements, the folder of the present environment.

    Raises:
        LoopError: The installation fails.
    """
    if not requirements:
        return Path(sys.executable).parent
    made = (folder / "environments" / json_digest(requirements)[:12]).resolve()
    done = made / ".done"
    if not done.exists():
        venv = [sys.executable, "-m", "venv", "--clear", str(made)]
        pip = [str(made / "bin" / "python"), "-m", "pip", "install", *requirements]
        for words in (venv, pip):
            if subprocess.run(words, stdout=output, stderr=output).returncode:  # noqa: S603
                raise LoopError(f"{shlex.join(words)}: failed")
        done.touch()
    return made / "bin"


def _wait(process: "subprocess.Popen[bytes]", ready: str, budget_s: int) -> float:
    """Wait until an entrant is ready.

    Returns:
        The CPU seconds of all its processes, read five times a second: a process that nobody waits
        for, such as a worker of Dask, is in no sum of the system.

    Raises:
        LoopError: It ends, or takes too long.
    """
    deadline = time.monotonic() + _WALL * budget_s
    cpu_s: dict[psutil.Process, float] = {}
    while True:
        was_ready, code = is_ready(ready), process.poll()
        if code is not None:
            raise LoopError(f"it has ended: {describe_exit(code)}")
        with suppress(psutil.NoSuchProcess):
            for part in _tree(process.pid):
                cpu_s[part] = sum(part.cpu_times()[:2])
        learned_s = sum(cpu_s.values())
        if learned_s > budget_s or time.monotonic() > deadline:
            raise LoopError(
                f"not ready after {learned_s:.0f} CPU seconds, allowed are {budget_s}, "
                f"and at most {_WALL * budget_s} seconds"
            )
        if was_ready:
            return learned_s
        time.sleep(_POLL_S)


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
