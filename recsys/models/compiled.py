"""Compile functions with numba, once on a machine."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba

from looplib.files import exclusive
from looplib.progress import console

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return a folder for compiled code that this user alone can write to.

    The installation may be read-only.
    """
    home = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "listening-loop"
        / "compiled"
    )
    temporary = Path(tempfile.gettempdir()) / f"listening-loop-{os.getuid()}"
    for folder in (Path(os.environ.get("NUMBA_CACHE_DIR") or home), temporary):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
        except OSError:
            continue
        # Compiled code is executed: no place for it is a folder or link that another user could
        # have made.
        if (
            status.st_uid == os.getuid()
            and not status.st_mode & 0o022
            and os.access(folder, os.W_OK)
        ):
            return folder
    return Path(tempfile.mkdtemp())


_CACHE = cache_folder()
numba.config.CACHE_DIR = str(_CACHE)


def compiled(function: Function) -> Function:
    """Compile a function for this processor at its first call, once on a machine.

    It holds no lock of Python's.
    """
    # Sums may be reordered, for vector instructions; what is not finite stays so, and a division by
    # 0 gives it.
    compile_function = numba.njit(
        nogil=True, cache=True, fastmath={"reassoc", "contract"}, error_model="numpy"
    )
    return compile_function(function)  # type: ignore[no-any-return]  # numba has no types


@contextmanager
def compiling(function: Callable[..., Any]) -> Iterator[None]:
    """Compile in the block, one process at a time.

    Say so where no code of its main function is kept yet.
    """
    with exclusive(_CACHE / "compiling.lock"):
        folder = function.stats.cache_path  # type: ignore[attr-defined]  # of numba's dispatcher
        if not any(Path(folder).glob(f"*.{function.__name__}*.nbi")):
            console.print("compiling the solver, once on this machine")
        yield
