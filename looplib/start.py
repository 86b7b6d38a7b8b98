"""End a command in one line where Ctrl-C or a missing library stops it before its own code runs.

The packages import this first. It does nothing in programs that are not `python -m …` or
`listening-loop`.
"""

import gc
import sys
from types import TracebackType

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
_OURS = ("looplib", "recsys", "analysis", "botify", "sim", "listening_loop")


def install() -> None:
    """Report what stops the command's imports in one line, and exit as a command does."""
    sys.excepthook = _report


def _report(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    library = (
        (error.name or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError)
        else ""
    )
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted; nothing half-written is left\n")
        raise SystemExit(EXIT_INTERRUPTED)
    if library and library not in _OURS:
        sys.stderr.write(
            f"error: {library} is not installed; pip install '.[all]' in the clone brings it\n"
        )
        raise SystemExit(EXIT_USER_ERROR)
    sys.__excepthook__(kind, error, trace)


# The first argument is `-m` while Python looks for the module of `python -m …`.
if sys.argv[:1] == ["-m"]:
    install()
    # a command of ours, which calls `looplib.cli.run`
    if any(word.startswith(_OURS) for word in sys.orig_argv[1:3]):
        gc.disable()  # until then: collections took a fifth of what a command needs to start
elif sys.argv[0].endswith("/listening-loop"):
    install()
