"""Write checksums (CRC-32) into JSON documents and the names of logs, and check them on reading."""

import re
import zlib
from pathlib import Path
from typing import Any

import orjson

CHECKSUM = "crc32"  # the key of a sealed document that holds the checksum of the others
_IN_NAME = re.compile(r"-crc([0-9a-f]{8})\.jsonl$")
_CHUNK = 2**20


def seal(document: object) -> dict[str, Any]:
    """Return a JSON object with its checksum as a further key; data classes become objects."""
    plain = orjson.loads(orjson.dumps(document))
    return {**plain, CHECKSUM: _checksum(plain)}


def unseal(content: bytes, *, needed: bool = False) -> dict[str, Any]:
    """Parse a JSON object, and check it against its checksum, which is left out.

    Raises:
        ValueError: It is no JSON object, has changed since it was sealed, or, with `needed`, was
            not sealed.
    """
    document = orjson.loads(content)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    given = document.pop(CHECKSUM, None)
    if given is None and not needed:
        return document
    found = _checksum(document)
    if given != found:
        raise ValueError(f"checksum {found}, and {given or 'none'} was written")
    return document


def named(path: Path, crc: int) -> Path:
    """Return the path of a log with the checksum of its content in its name."""
    return path.with_name(f"{path.stem}-crc{crc:08x}.jsonl")


def unnamed(path: Path) -> Path:
    """Return the path of a log without the checksum in its name, if there is one."""
    return path.with_name(_IN_NAME.sub(".jsonl", path.name))


def check_name(path: Path) -> None:
    """Compare a file with the checksum in its name, if it has one.

    Raises:
        ValueError: The content has changed.
    """
    if not (match := _IN_NAME.search(path.name)):
        return
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    if f"{crc:08x}" != match[1]:
        raise ValueError(f"checksum {crc:08x}, and {match[1]} was written")


def _checksum(document: dict[str, Any]) -> str:
    return f"{zlib.crc32(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)):08x}"
