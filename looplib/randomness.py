"""Make random generators that follow from (seed, purpose, ids), whatever the order of their use."""

import hashlib

import numpy as np


def make_generator(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """Return the generator for one purpose and one thing.

    `make_generator(7, "collect", 3)` is for segment 3. Generators of different purposes are
    independent; the seed and the ids are not negative.
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    purpose_words = np.frombuffer(digest[:16], ">u4").tolist()
    return np.random.default_rng([seed, *purpose_words, *ids])
