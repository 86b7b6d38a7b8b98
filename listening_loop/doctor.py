"""`listening-loop doctor`: versions and the machine, in a form to paste into a report of a bug.

No path, host name, setting or environment variable is printed.
"""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

import psutil
import typer

from looplib.cli import make_app
from looplib.platform import check_names, usable_cores

PROG = "listening-loop doctor"
LIBRARIES = (
    *("listening-loop", "dask", "distributed", "duckdb", "flask", "granian"),
    *("implicit", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "redis"),
    *("s3fs", "scipy"),
)
PROGRAMS = ("redis-server", "nginx", "docker")
app = make_app("Print versions and the machine, in a form to paste.")


@app.command(epilog=f"Example: {PROG}")
def main() -> None:
    """Print versions, the processor, its kernels, memory and programs."""
    check_names()
    for name, text in describe_machine().items():
        typer.echo(f"{name:<15} {text}")


def describe_machine() -> dict[str, str]:
    """Describe the machine: text by name."""
    from recsys.models.kernels import vectors

    memory = psutil.virtual_memory()
    width = 512 if vectors.HAS_512_BITS else 256
    lines = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(usable_cores()),
        "kernels": f"{vectors.PROCESSOR}, vectors of {width} bits",
        "memory": f"{memory.available >> 20:,} of {memory.total >> 20:,} MiB free",
    }
    for program in PROGRAMS:
        lines[program] = "found" if shutil.which(program) else "not found"
    for library in LIBRARIES:
        lines[library] = _version(library)
    return lines


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
