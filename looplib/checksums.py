"""Write checksums (CRC-32) into JSON documents and the names of logs, and check them on reading.

A document that lists the SHA-256 of other files has no other protection.
"""

import re
import zlib
from pathlib import Path
from typing import Any

import orjson

from looplib.errors import UserError

CHECKSUM = "crc32"  # the key of a sealed document that holds the checksum of the others
_IN_NAME = re.compile(r"-crc([0-9a-f]{8})\.jsonl$")
_CHUNK = 2**20


def seal(document: object) -> dict[str, Any]:
    """Add the checksum of a JSON object as a further key; data classes become objects.

    Example:
        >>> seal({"tracks": 3})
        {'tracks': 3, 'crc32': '524ce7ab'}
    """
    plain = orjson.loads(orjson.dumps(document))
    return {**plain, CHECKSUM: _checksum(plain)}


def unseal(content: bytes) -> dict[str, Any]:
    """Parse a JSON object, and check it against its checksum, which is left out.

    Raises:
        ValueError: It is no JSON object, has changed since it was sealed, or is nested so deep that
            readers would fail.

    Example:
        >>> unseal(b'{"tracks": 4, "crc32": "524ce7ab"}')
        Traceback (most recent call last):
        ValueError: checksum 1d0d716c found, 524ce7ab expected
    """
    document = orjson.loads(content)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    written = document.pop(CHECKSUM, None)
    try:
        computed = _checksum(document)
    except TypeError:  # deeper than orjson writes
        raise ValueError("nested too deep") from None
    if written is not None:
        _compare(computed, written)
    return document


def check_format(
    document: dict[str, Any],
    newest: int,
    file: object,
    remedy: str,
    error: type[UserError],
) -> None:
    """Refuse a document of a format that this version does not read (docs/formats.md).

    Args:
        document: It has the number of its format as `schema`.
        newest: The number that this version writes.
        file: Where the document is.
        remedy: How to make an old document anew.
        error: The class of the error.

    Raises:
        UserError: The document has another number; of the class `error`.

    Example:
        >>> check_format({"schema": 3}, 4, "store", "ingest again", UserError)
        Traceback (most recent call last):
        looplib.errors.UserError: store: format 3 is of 0.4 or earlier, not read; ingest again
    """
    number = document.get("schema")
    if not isinstance(number, int) or number == newest:
        return  # the reader of the document says which type a field must have
    text = f"format {number} is of 0.4 or earlier, not read; {remedy}"
    if number > newest:
        text = (
            f"format {number} is of a newer version, this version reads {newest}; "
            "pip install --upgrade listening-loop"
        )
    raise error(f"{file}: {text}")


def named(path: Path, crc: int) -> Path:
    """Add the checksum of a log's content to its name.

    Example:
        >>> named(Path("events-7.jsonl"), 255).name
        'events-7-crc000000ff.jsonl'
    """
    return path.with_name(f"{path.stem}-crc{crc:08x}.jsonl")


def unnamed(path: Path) -> Path:
    """Remove the checksum, if any, from the name of a log.

    Example:
        >>> unnamed(Path("events-7-crc000000ff.jsonl")).name
        'events-7.jsonl'
    """
    return path.with_name(_IN_NAME.sub(".jsonl", path.name))


def check_name(path: Path) -> None:
    """Compare a file with the checksum in its name, if any.

    Raises:
        ValueError: The content has changed.
    """
    if match := _IN_NAME.search(path.name):
        crc = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
        _compare(f"{crc:08x}", match[1])


def _checksum(document: dict[str, Any]) -> str:
    return f"{zlib.crc32(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)):08x}"


def _compare(checksum: str, written: object) -> None:
    if checksum != written:
        shown = str(written or "none")[:16]
        raise ValueError(f"checksum {checksum} found, {shown} expected")
