"""Sealed documents are read unchanged, and any change of their bytes is noticed."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from looplib.checksums import check_name, named, seal, unseal

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
)
KEYS = st.text().filter(lambda key: key != "crc32")
OBJECTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
        max_leaves=9,
    ),
).map(lambda drawn: orjson.loads(orjson.dumps(drawn)))
few = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@few
@given(OBJECTS)
def test_what_was_sealed_is_what_is_read(document: dict[str, object]) -> None:
    assert unseal(orjson.dumps(seal(document))) == document
    assert unseal(orjson.dumps(document, option=orjson.OPT_INDENT_2)) == document


@few
@given(OBJECTS, st.data())
def test_a_changed_byte_changes_nothing_or_is_noticed(
    document: dict[str, object], data: st.DataObject
) -> None:
    content = bytearray(orjson.dumps(seal(document)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(
        st.integers(1, 255)
    )
    try:
        found = unseal(bytes(content))
    except ValueError:
        return
    assert found | document == found  # the key of the checksum may have changed


@dataclass
class Point:
    y: int
    x: int


def test_a_data_class_becomes_an_object_whose_keys_are_sorted_for_its_checksum() -> (
    None
):
    checksum = format(zlib.crc32(b'{"x":1,"y":2}'), "08x")
    assert seal(Point(y=2, x=1)) == {"y": 2, "x": 1, "crc32": checksum}


@pytest.mark.parametrize(
    "content",
    [
        b"123",
        b"[]",
        b"",
        b"{",
        b"[" * 10_000,
        b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"crc32":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"a": 1e999}',
        b'{"crc32": "0"}',
    ],
)
def test_other_content_is_no_sealed_object(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^.{1,99}$"):
        unseal(content)


def test_a_log_is_compared_with_the_checksum_in_its_name(tmp_path: Path) -> None:
    log = named(tmp_path / "events-1.jsonl", zlib.crc32(b"{}\n"))
    log.write_bytes(b"{}\n")
    check_name(log)
    log.write_bytes(b"{]\n")
    with pytest.raises(ValueError, match="checksum"):
        check_name(log)
    check_name(log.rename(tmp_path / "events-1.jsonl"))
