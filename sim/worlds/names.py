"""Invented artist names and track titles, made of syllables."""

from collections.abc import Iterator

import numpy as np

ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
CODAS = ("", "", "", "l", "m", "n", "r", "s", "x", "nd", "sk")
SYLLABLES = tuple(onset + vowel + coda for onset in ONSETS for vowel in VOWELS for coda in CODAS)

_CHUNK = 4096


def invent_names(count: int, rng: np.random.Generator, words: tuple[int, int] = (1, 2)) -> list[str]:
    """Different names, each of `words[0]`..`words[1]` words.

    Args:
        count: How many.
        rng: Where the syllables come from.
        words: Least and most words in a name.
    """
    names: dict[str, None] = {}
    for name in _endless_names(rng, words):
        if len(names) == count:
            break
        names.setdefault(name)
    return list(names)


def invent_titles(count: int, rng: np.random.Generator) -> list[str]:
    """Titles of one to three words; some come twice, as titles do."""
    titles = _endless_names(rng, (1, 3))
    return [next(titles) for _ in range(count)]


def _endless_names(rng: np.random.Generator, words: tuple[int, int]) -> Iterator[str]:
    most = words[1]
    while True:
        word_counts = rng.integers(words[0], most, size=_CHUNK, endpoint=True).tolist()
        syllable_counts = rng.integers(1, 3, size=(_CHUNK, most), endpoint=True).tolist()
        syllables = rng.integers(len(SYLLABLES), size=(_CHUNK, most, 3)).tolist()
        for used, lengths, rows in zip(word_counts, syllable_counts, syllables, strict=True):
            yield " ".join(
                "".join(SYLLABLES[syllable] for syllable in row[:length]).capitalize()
                for row, length in zip(rows[:used], lengths, strict=False)
            )
