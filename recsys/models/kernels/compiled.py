"""Compile functions with numba, once on a machine."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba

from looplib.files import exclusive, user_cache
from looplib.progress import say

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Make a folder for compiled code that only this user can write to.

    The installation may be read-only. Other sources have another folder: Numba cannot read its
    cache of a class that is gone.
    """
    home = user_cache() / "compiled"
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or home)
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        # Compiled code is executed: it must not come from a folder or link of another user.
        user = os.getuid() if hasattr(os, "getuid") else status.st_uid  # on Windows
        is_own = status.st_uid == user and not status.st_mode & 0o022
        if is_own and os.access(folder, os.W_OK):
            version = folder / digest[:12]
            version.mkdir(mode=0o700, exist_ok=True)
            return version
    return Path(tempfile.mkdtemp())


_CACHE = cache_folder()
numba.config.CACHE_DIR = str(_CACHE)


def compiled(function: Function) -> Function:
    """Compile a function for this processor at its first call, once on a machine.

    The function does not hold Python's global lock.
    """
    # Sums may be reordered, for vector instructions; infinite values and NaN stay, and a division
    # by 0 is not finite.
    compile_function = numba.njit(
        nogil=True, cache=True, fastmath={"reassoc", "contract"}, error_model="numpy"
    )
    return compile_function(function)  # type: ignore[no-any-return]  # numba has no types


@contextmanager
def compiling(function: Callable[..., Any]) -> Iterator[None]:
    """Compile in the block, one process at a time; say so if nothing is compiled yet.

    A function that this process has called before waits for no other process.
    """
    if function.signatures:  # type: ignore[attr-defined]  # of numba's dispatcher
        yield
        return
    with exclusive(_CACHE / "compiling.lock"):
        folder = function.stats.cache_path  # type: ignore[attr-defined]  # of numba's dispatcher
        if not any(Path(folder).glob("*.nbi")):
            say("compiling the solver, once on this machine")
        yield
