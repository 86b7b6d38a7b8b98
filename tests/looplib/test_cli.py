import errno
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from looplib.cli import make_app, program, run
from looplib.errors import UserError

app = make_app("Does one thing.")


@app.command()
def main(count: Annotated[int, typer.Option(min=1)], fail: str = "") -> None:
    match fail:
        case "user":
            raise UserError("found 3,\nallowed is 2")
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "/data/file")
        case "file":
            raise FileExistsError(errno.EEXIST, "File exists", "/data")
        case "ours":
            raise ZeroDivisionError
        case "interrupt":
            raise KeyboardInterrupt
    typer.echo(f"count {count}")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--count", "3", "--fail", "user"], "thing: error: found 3, allowed is 2"),
        (
            ["--count", "3", "--fail", "disk"],
            "thing: error: /data/file: No space left on device; free some space",
        ),
        (
            ["--count", "3", "--fail", "file"],
            "thing: error: /data: File exists; a folder is expected there",
        ),
        (["--count", "x"], "thing: error: Invalid value for '--count'"),
        (["--count", "0"], "thing: error: Invalid value for '--count'"),
        ([], "thing: error: Missing option '--count'"),
        (["--cuont", "3"], "thing: error: No such option: --cuont (Possible options:"),
    ],
)
def test_what_the_user_can_fix_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], line: str
) -> None:
    assert run(app, "thing", argv) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


def test_an_interrupt_returns_130_and_a_fault_of_ours_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(app, "thing", ["--count", "3", "--fail", "interrupt"]) == 130
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run(app, "thing", ["--count", "3", "--fail", "ours"])


def test_the_program_is_named_with_the_folder_that_the_shell_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(sys.executable).parent
    typed = str(folder / "listening-loop")
    monkeypatch.setattr(sys, "argv", [typed])
    for path, name in (("/usr/bin", typed), (str(folder), "listening-loop")):
        monkeypatch.setenv("PATH", path)
        assert program() == name
