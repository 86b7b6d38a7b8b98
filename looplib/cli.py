"""Start and end every command: an error that the user can fix is one line and exit code 2."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from looplib.errors import UserError, missing_library

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted; nothing half-written is left"


@contextmanager
def importing() -> Iterator[None]:
    """End in one line at Ctrl-C, a `UserError`, or if a library is missing, while a block imports.

    Raises:
        SystemExit: With the exit code of a command that ends so.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {missing_library(error)}\n")
        raise SystemExit(EXIT_USER_ERROR) from None
    except UserError as error:  # the option's file is read at once
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(EXIT_USER_ERROR) from None


with importing():
    import typer

# The base class of errors of the command line; typer exports only its subclasses.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable."),
]


def program() -> str:
    """Return `listening-loop` as it was typed: with its folder, where the shell needs that."""
    typed, name = sys.argv[0], "listening-loop"
    is_path = Path(typed).name == name and shutil.which(name) != typed
    return typed if is_path else name


def make_app(help_text: str) -> typer.Typer:
    """Return a typer application with plain help and no traceback boxes."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
    )


def run(app: typer.Typer, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run an application that help and errors name `prog`.

    Returns:
        The exit code: 2 after a `UserError`, an error of the operating system, such as a full disk,
        or a wrong command line, with a line on stderr; 130 after Ctrl-C. Any other
        error is a bug and keeps its traceback.
    """
    command = typer.main.get_command(app)
    # typer shows the docstring of an application's only function
    command.help = app.info.help
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with importing():
            try:
                result = command.main(args=words, prog_name=prog, standalone_mode=False)
            except UserError as error:
                return _complain(prog, str(error))
    except _UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        return _complain(prog, f"{message} (see {prog} --help)")
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        reason = str(error.strerror or error)
        if "No space left" in reason or "quota" in reason:
            reason += "; free some space there, and run the command again"
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason += "; a folder is expected there: name another path"
        return _complain(prog, f"{file}{reason}")
    if result == EXIT_INTERRUPTED:  # typer's own answer to Ctrl-C
        _complain(prog, INTERRUPTED)
    return result if isinstance(result, int) else 0


def _complain(prog: str, message: str) -> int:
    sys.stderr.write(f"{prog}: error: {' '.join(message.split())}\n")
    return EXIT_USER_ERROR
