"""`listening-loop verify PATH…`: compare stores, caches, runs, exports and logs with the checksums that they carry."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.errors import StoreError
from analysis.logs.files import LogFile
from analysis.store import check_digests, decode_manifest
from looplib.checksums import unseal
from looplib.cli import make_app
from looplib.errors import UserError
from looplib.untrusted import open_untrusted
from recsys.dataset.dataset import SUMMARY, open_whole_dataset
from recsys.export.export import MANIFEST
from recsys.runs.folder import LEDGER, LISTENERS, WINNER, check_arrays
from recsys.runs.ledger import read_ledger
from recsys.workspace import open_workspace

PROG = "listening-loop verify"
DAMAGED = 1  # the exit code
_AGAIN = "run the same search again: only what is lost is fitted again"
app = make_app(
    "Compare stores, caches, runs, exports and logs with their checksums; end with 1 where one is damaged."
)

# what is wrong with each thing that a file vouches for; None if nothing
Check = Callable[[Path], Iterator[str | None]]


@app.command(epilog=f"Example: {PROG} out/demo")
def main(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Files, and folders with all below them."),
    ],
) -> int:
    """Compare them."""
    found = [outcome for path in paths for outcome in verify(path)]
    damage = [outcome for outcome in found if outcome]
    for line in damage:
        typer.echo(line)
    typer.echo(f"{len(found) - len(damage):,} whole, {len(damage):,} damaged")
    return DAMAGED if damage else 0


def verify(path: Path) -> Iterator[str | None]:
    """Yield for each checksum in a file, or in all below a folder, what is wrong; None where nothing is.

    Raises:
        UserError: There is no such path, or nothing with a checksum.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder on this machine")
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    checked = [
        (check, file)
        for file in files
        for pattern, check in _CHECKS.items()
        if file.match(pattern)
    ]
    if not checked:
        raise UserError(
            f"{path}: nothing here has checksums; stores, runs, exports and closed logs of the service have"
        )
    for check, file in checked:
        yield from check(file)


def _fault(check: Callable[[], object], file: Path, advice: str = "") -> str | None:
    """Return what is wrong with a file, and what to do; None if a check passes. Our own errors say both."""
    try:
        check()
    except UserError as error:
        return f"{error}; {advice}" if advice else str(error)
    except Exception as error:  # noqa: BLE001  a damaged file makes zipfile raise any kind
        return f"{file}: damaged ({error}); {advice}"
    return None


def _alone(check: Callable[[Path], object], advice: str = "") -> Check:
    """Make the check of a file that vouches for itself alone."""
    return lambda file: iter([_fault(partial(check, file), file, advice)])


def _check_manifest(file: Path) -> Iterator[str | None]:
    """Check a store or an export."""
    content: dict[str, Any] = {}
    yield _fault(
        lambda: content.update(unseal(file.read_bytes())),
        file,
        "restore it, or make all of it again",
    )
    if "parts" in content:
        try:
            manifest = decode_manifest(file.read_bytes(), str(file.parent))
        except StoreError as error:
            yield str(error)
            return
        for stored in manifest.files:
            part = file.parent / stored.path
            yield _fault(partial(check_digests, {part: stored}, lambda: manifest), part)
    for name, facts in content.get("files", {}).items():
        part = file.parent / name
        opened = partial(
            open_untrusted, part, within=file.parent, sha256=str(facts["sha256"])
        )
        yield _fault(
            lambda: opened().close(),  # noqa: B023  called at once
            part,
            "remove the version and export again",
        )


def _check_ledger(file: Path) -> Iterator[str | None]:
    lines = read_ledger(file)
    yield from (None for _ in lines.rows)
    yield from (f"{file}, {damage}; {_AGAIN}" for damage in lines.damaged)


_CHECKS: dict[str, Check] = {
    MANIFEST: _check_manifest,
    LEDGER: _check_ledger,
    SUMMARY: _alone(lambda file: open_whole_dataset(open_workspace(file.parent))),
    WINNER: _alone(lambda file: unseal(file.read_bytes()), _AGAIN),
    f"{LISTENERS}/*/*.npz": _alone(check_arrays, _AGAIN),
    "events-*-crc????????.jsonl": _alone(lambda file: LogFile(file, str(file)).check()),
}
