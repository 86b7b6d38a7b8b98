"""Make random generators that follow from (seed, purpose, ids), whatever the order of their use."""

import hashlib

import numpy as np


def make_generator(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """Make the generator for a purpose and a thing, such as a segment of a log.

    Generators of different purposes are independent.

    Args:
        seed: The configured seed, from 0.
        purpose: A name, such as "collect".
        ids: Numbers of the thing, from 0.

    Example:
        >>> make_generator(7, "collect", 3).integers(100, size=3)
        array([54, 18, 62])
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    purpose_words = np.frombuffer(digest[:16], ">u4").tolist()
    return np.random.default_rng([seed, *purpose_words, *ids])
