"""`listening-loop erase`: remove a listener from event logs and from a service.

Stores and exports are made again from the logs that are left.
"""

import gzip
import os
import re
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from looplib.cli import importing, make_app

with importing():
    import orjson

    from analysis.logs.files import LogFile, discover
    from analysis.logs.lines import BYTE_ORDER_MARK
    from listening_loop.client import ServiceClient
    from listening_loop.errors import LoopError
    from listening_loop.processes import command, shell_text
    from looplib.checksums import named, unnamed
    from looplib.config import load_config
    from looplib.files import TEMPORARY_PREFIX, atomic_write
    from recsys.config import SearchConfig

PROG = "listening-loop erase"
app = make_app(
    "Remove a listener from event logs and a service, while no ingest or search runs."
)


@app.command(
    epilog=f"Example: {PROG} --user 7 --log out/log --config search.yaml "
    "--service http://localhost:5001"
)
def main(
    user: Annotated[str, typer.Option(help="Id of the listener.")],
    log: Annotated[list[str], typer.Option(help="Event log, or folder of logs.")],
    config: Annotated[
        Path | None,
        typer.Option(help="The search's YAML, for the commands that are printed."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(help="Address of the service; BOTIFY_ADMIN_TOKEN has its token."),
    ] = None,
) -> None:
    """Erase the listener, and print the commands that learn and publish without them.

    Raises:
        LoopError: The logs lack the listener, a service still writes their events, or it does not
            answer.
    """
    store, export = "STORE", "RUN/export"
    if config:
        settings = load_config(SearchConfig, config)
        store, export = settings.store, f"{settings.run}/export"
    logs = discover(log)
    for folder in {file.path.parent for file in logs}:
        for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if leftover.is_file():
                leftover.unlink()
                typer.echo(f"{leftover}: removed")
    if service:
        client = ServiceClient(service, os.environ.get("BOTIFY_ADMIN_TOKEN"))
        client.ask("DELETE", f"/listeners/{quote(user, safe='')}")
        typer.echo(f"{service}: the session is deleted")
    counts = {file: _count_lines(file, user) for file in logs}
    if not any(counts.values()):
        raise LoopError(f"no line of {', '.join(log)} is of listener {user}")
    for file, count in counts.items():
        if count and not file.is_open:
            rewrite_without(file, user)
            typer.echo(f"{file.path}: {count:,} lines removed")
    if still_open := [str(file.path) for file in logs if file.is_open and counts[file]]:
        raise LoopError(
            f"not complete: a service still writes to {', '.join(still_open)}; stop it, "
            "or wait until it has closed its segment, and run the same command again"
        )
    ingest = shell_text(command("ingest", *log, store=store))
    search = shell_text(command("search", config=config or "SEARCH.yaml"))
    replays = [
        str(answers.parent)
        for folder in (*log, export)
        for answers in sorted(Path(folder).rglob("answers"))
    ]
    typer.echo(
        f"Still with the listener: {store}, versions in {export}, replays "
        f"({', '.join(replays) or 'if there are any'}) and backups.\n"
        f"Delete {store}, as it would count the other events again, and run\n"
        f"  {ingest}\n  {search}\n"
        "Then delete earlier versions and replays."
    )


def _count_lines(log: LogFile, user: str) -> int:
    with log.check().open() as text:
        return sum(_is_of(user, line) for line in text)


def _is_of(user: str, line: bytes) -> bool:
    """Compare the id of a line with a listener's, as the ingest reads it: 7.0 is 7."""
    try:
        document = orjson.loads(line.removeprefix(BYTE_ORDER_MARK))
    except (
        orjson.JSONDecodeError
    ):  # DuckDB may read it, and a cut line names the listener
        written = rf'"user"\s*:\s*"?{re.escape(user)}(\.0*)?"?\s*([,}}]|$)'
        return re.search(written.encode(), line) is not None
    ids = (user, f"{user}.0")
    return isinstance(document, dict) and str(document.get("user")) in ids


def rewrite_without(log: LogFile, user: str) -> None:
    """Rewrite a log without a listener, packed and with a checksum as it was."""
    packed = log.path.suffix if log.is_gzipped else ""
    plain = unnamed(log.path.with_name(log.path.name.removesuffix(packed)))
    target = plain.with_name(plain.name + packed)
    crc = 0
    with ExitStack() as stack:
        text = stack.enter_context(log.open())
        file: Any = stack.enter_context(atomic_write(target, log.path))
        if packed:
            packing = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
            file = stack.enter_context(packing)
        for line in text:
            if not _is_of(user, line):
                crc = zlib.crc32(line, crc)
                file.write(line)
    if target != log.path:  # its name had a checksum
        if not packed:
            target.replace(named(target, crc))
        log.path.unlink()
