"""The one form of lines that our service and simulator write, told from others by a look at some of a line's bytes.

A line in this form is an object with the eleven keys in their order, each once, and no other key; ids have up to 16
digits, a timestamp 13. Of DuckDB's reader it is known that it refuses what is not one JSON object a line, and of
consumers that they refuse experiments that are no object of strings. With that, the bytes looked at here settle what
DuckDB would pass over in silence:

- A key stands after each of ten commas: the first seven of the line and its last three. A quote after a comma is not
  escaped, so it opens a string, and what follows is a key and not a part of one.
- Between two such commas is one value. Further commas are within experiments: each between two quotes, so that the
  object goes on after it; if it went on over its end it would hold the propensity, which is no string.
- How a value starts says what it is: a number, a string, an object or null. Ids are digits throughout.

So nothing is cast, no key comes twice, and there is no place for NaN, an array or a comma before a brace.
"""

import io
from collections.abc import Iterator
from typing import IO

import numpy as np

from looplib.arrays import BoolArray, ByteArray, IntArray, WordArray

LONGEST_LINE = 1 << 16  # bytes of a line in this form
_CHUNK = 1 << 20
_PADDING = 64  # bytes on both sides of a chunk, so that every place in it has as many around it


_FROM_THE_START = ("timestamp", "user", "track", "time", "latency", "recommendation", "experiments")
_FROM_THE_END = ("session", "recommender", "propensity")
_KEYS = (*_FROM_THE_START, *_FROM_THE_END)
_TOKENS = tuple(f',"{key}":'.encode() for key in _KEYS)
_TIMESTAMP, _USER, _TRACK, _TIME, _LATENCY, _RECOMMENDATION, _EXPERIMENTS, _SESSION, _RECOMMENDER, _PROPENSITY = range(
    len(_KEYS)
)
_HEADS = (b'{"message":"next"', b'{"message":"last"')
_TIMESTAMP_DIGITS = 13
_NUMBER, _STRING, _OBJECT = "number", "string", "object"
_KINDS = {
    _TIME: _NUMBER,
    _LATENCY: _NUMBER,
    _EXPERIMENTS: _OBJECT,
    _SESSION: _STRING,
    _RECOMMENDER: _STRING,
    _PROPENSITY: _NUMBER,
}


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


def _repeated(byte: int) -> np.uint64:
    return np.uint64(_word(bytes([byte]) * 8))


_ZEROS, _HIGH_BITS, _TO_HIGH_BIT = _repeated(ord("0")), _repeated(0x80), _repeated(0x80 - 10)
_LAST = np.array([_word((b"\xff" * size).rjust(8, b"\0")) for size in range(9)], np.uint64)  # the last bytes of eight
_NULL = np.uint64(_word(b"\0\0\0\0null"))
# Each key's token as words of eight bytes, with the mask of those that belong to it.
_TOKEN_WORDS = tuple(
    tuple(
        (np.uint64(_word(b"\xff" * len(part))), np.uint64(_word(part)))
        for part in (token[place : place + 8] for place in range(0, len(token), 8))
    )
    for token in _TOKENS
)


def count_lines(log: IO[bytes]) -> int | None:
    """The number of lines of a log, all of them in the form and ended; None if one is not."""
    lines = 0
    for chunk in _chunks(log):
        found = chunk.lines()
        if not found:
            return None
        lines += found
    return lines


def starts_in_form(log: IO[bytes]) -> bool:
    """Whether the first lines of a log are in the form; true of an empty one."""
    head = log.read(LONGEST_LINE)
    chunk = next(_chunks(io.BytesIO(head[: head.rfind(b"\n") + 1] or head)), None)
    return chunk is None or chunk.lines() > 0


def _chunks(log: IO[bytes]) -> Iterator["_Chunk"]:
    """A log in pieces of whole lines, all in one buffer; the last piece may lack its end."""
    buffer = bytearray(_PADDING + _CHUNK + _PADDING)
    chunk, place, end = _Chunk(buffer), memoryview(buffer), _PADDING
    while taken := int(log.readinto(place[end : _PADDING + _CHUNK])):  # type: ignore[attr-defined]  # binary files have it
        end += taken
        cut = buffer.rfind(b"\n", _PADDING, end) + 1
        if not cut and end < _PADDING + _CHUNK:
            continue
        chunk.end = cut or end
        yield chunk
        place[_PADDING : _PADDING + end - chunk.end] = place[chunk.end : end]
        end += _PADDING - chunk.end
    if end > _PADDING:
        chunk.end = end
        yield chunk


class _Chunk:
    """Lines in a buffer, from `_PADDING` to `end`."""

    def __init__(self, buffer: bytearray) -> None:
        self.end = _PADDING
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._flags = np.empty((2, _CHUNK), bool)
        self._windows = {
            size: np.ndarray((len(buffer) - size + 1,), f"V{size}", buffer=buffer, strides=(1,)) for size in (8, 32)
        }

    def lines(self) -> int:
        """How many lines there are; 0 if one is not in the form."""
        if self._bytes[self.end - 1] != ord("\n"):
            return 0
        marks = self._marks()
        ends = np.flatnonzero(self._bytes[marks] == ord("\n"))
        firsts = np.concatenate([[0], ends[:-1] + 1])
        inner = ends - firsts - len(_KEYS)
        if inner.min() < 0 or not self._are_between_quotes(marks, firsts, inner):
            return 0
        commas = [marks[firsts + number] for number in range(len(_FROM_THE_START))]
        commas += [marks[ends - number] for number in range(len(_FROM_THE_END), 0, -1)]
        line_ends = marks[ends]
        is_shaped = (
            self._are_heads(line_ends, commas[0])
            and bool((self._bytes[line_ends - 1] == ord("}")).all())
            and self._are_ids(commas)
            and all(self._is_key(number, at) for number, at in enumerate(commas))
        )
        return len(ends) if is_shaped else 0

    def _marks(self) -> IntArray:
        """Places of commas and line ends."""
        text = self._bytes[_PADDING : self.end]
        commas, ends = self._flags[0][: len(text)], self._flags[1][: len(text)]
        np.equal(text, ord(","), out=commas)
        np.equal(text, ord("\n"), out=ends)
        return np.flatnonzero(np.logical_or(commas, ends, out=commas)) + _PADDING

    def _are_between_quotes(self, marks: IntArray, firsts: IntArray, inner: IntArray) -> bool:
        """Whether the commas within experiments are; `inner` says how many each line has."""
        for number in range(int(inner.max())):
            at = marks[(firsts + len(_FROM_THE_START) + number)[inner > number]]
            if (self._bytes[at - 1] != ord('"')).any() or (self._bytes[at + 1] != ord('"')).any():
                return False
        return True

    def _are_heads(self, line_ends: IntArray, first_commas: IntArray) -> bool:
        """Whether every line starts with its message, which ends at its first comma."""
        starts = np.concatenate([[_PADDING], line_ends[:-1] + 1])
        if (first_commas - starts != len(_HEADS[0])).any() or (line_ends - starts > LONGEST_LINE).any():
            return False
        window = self._windows[32][starts].view(np.uint64)
        middle = window[1::4]
        return (
            bool((window[0::4] == _word(_HEADS[0][:8])).all())
            and bool(np.logical_or(*(middle == _word(head[8:16]) for head in _HEADS)).all())
            and bool((self._bytes[first_commas - 1] == ord('"')).all())
        )

    def _are_ids(self, commas: list[IntArray]) -> bool:
        """Whether timestamps and ids are digits, and recommendations digits or null."""
        sizes = commas[_TIMESTAMP + 1] - commas[_TIMESTAMP] - len(_TOKENS[_TIMESTAMP])
        if (sizes != _TIMESTAMP_DIGITS).any():
            return False
        return all(
            self._are_digits(
                commas[number] + len(_TOKENS[number]), commas[number + 1], or_null=number == _RECOMMENDATION
            )
            for number in (_TIMESTAMP, _USER, _TRACK, _RECOMMENDATION)
        )

    def _are_digits(self, starts: IntArray, ends: IntArray, *, or_null: bool) -> bool:
        sizes = ends - starts
        if sizes.min() < 1 or sizes.max() > 16:
            return False
        window = self._windows[8][ends - 8].view(np.uint64)
        odd = _odd_digits(window, np.minimum(sizes, 8))
        if sizes.max() > 8:
            odd |= _odd_digits(self._windows[8][ends - 16].view(np.uint64), np.maximum(sizes - 8, 0))
        if not np.count_nonzero(odd):
            return True
        rest = np.flatnonzero(odd)
        are_null = (sizes[rest] == len(b"null")) & (window[rest] & _LAST[4] == _NULL)
        return or_null and bool(are_null.all())

    def _is_key(self, number: int, at: IntArray) -> bool:
        """Whether a key stands at the places, and a value of its kind after it."""
        size = len(_TOKENS[number])
        window = self._windows[32][at]
        found = window.view(np.uint64)
        for place, (mask, word) in enumerate(_TOKEN_WORDS[number]):
            if np.count_nonzero(found[place::4] & mask != word):
                return False
        if number not in _KINDS:
            return True
        first, second = (window.view(np.uint8)[size + place :: 32] for place in (0, 1))
        are_right = _are_of_kind(first, _KINDS[number])
        if number != _TIME:
            are_right |= (first == ord("n")) & (second == ord("u"))
        return bool(np.count_nonzero(are_right) == len(at))


def _odd_digits(window: WordArray, sizes: IntArray) -> WordArray:
    """Of eight bytes, some of whose last must be digits: nothing but zeros where they are."""
    digits = (window ^ _ZEROS) & _LAST[sizes]
    return ((digits + _TO_HIGH_BIT) | digits) & _HIGH_BITS


def _are_of_kind(first: ByteArray, kind: str) -> BoolArray:
    """Whether values start as those of a kind; a number has no sign."""
    if kind == _NUMBER:
        return np.asarray(first - np.uint8(ord("0")) < 10)
    return np.asarray(first == ord("{" if kind == _OBJECT else '"'))
