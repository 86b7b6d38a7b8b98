"""Run `python -m …` in children of a process that has imported the programs: importing takes longer than running them."""

import multiprocessing
import os
import runpy
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = (
    "recsys.ingest",
    "recsys.search",
    "recsys.export",
    "recsys.report",
    "analysis.ab",
    "analysis.power",
    "analysis.aa",
    "analysis.offpolicy",
    "sim.world",
    "sim.run",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*MODULES, *(f"{name}.__main__" for name in MODULES), "sim.fitted.command"])
_PRELOADED = ".* found in sys.modules after import"


def run_module(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float = 300
) -> tuple[int | None, str, str]:
    """Run a module as `python -m` does; return its exit code (None: killed after the timeout), output and errors."""
    files = [folder / f"{module}.{stream}" for stream in ("stdout", "stderr")]
    process = _FORKS.Process(target=_run, args=(module, list(arguments), folder, dict(environment), files))
    process.start()
    process.join(timeout_s)
    process.kill()
    output, errors = (file.read_text(encoding="utf-8") for file in files)
    return process.exitcode, output, errors


def _run(module: str, arguments: list[str], folder: Path, environment: dict[str, str], files: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    sys.argv = [module, *arguments]
    warnings.filterwarnings("ignore", _PRELOADED, RuntimeWarning)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
