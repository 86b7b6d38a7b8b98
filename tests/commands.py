"""Run `python -m …` in children of a process that has imported the programs already."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = (
    "recsys.ingest",
    "recsys.search",
    "recsys.export",
    "analysis.ab",
    "analysis.power",
    "sim.world",
    "sim.run",
    "listening_loop.command",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *MODULES,
        *(f"{name}.__main__" for name in MODULES),
        "listening_loop.init.command",
        "recsys.report.page",
        "tests.warm",
        "s3fs",
    ]
)
TIMEOUT_S = 400
_PRELOADED = ".* found in sys.modules after import"


def run_module(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a module as `python -m` does, in a folder if one is given, with these variables alone."""
    with tempfile.TemporaryDirectory() as folder_of_output:
        files = [Path(folder_of_output) / stream for stream in ("stdout", "stderr")]
        arguments = list(arguments)
        process = _FORKS.Process(
            target=_run,
            args=(module, arguments, dict(environment), folder or Path.cwd(), files),
        )
        process.start()
        process.join(TIMEOUT_S)
        process.kill()
        process.join()
        output, errors = (
            file.read_text(encoding="utf-8") if file.exists() else "" for file in files
        )
    code = process.exitcode
    return subprocess.CompletedProcess(
        [module, *arguments], -1 if code is None else code, output, errors
    )


def _run(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    files: list[Path],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    sys.argv = [module, *arguments]
    warnings.filterwarnings("ignore", _PRELOADED, RuntimeWarning)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
