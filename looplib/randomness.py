"""Random generators that follow from (seed, purpose, ids) alone, so that neither order nor process count matters."""

import hashlib

import numpy as np


def make_generator(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """Return the generator for one purpose and one thing, such as `make_generator(7, "collect", 3)` for segment 3.

    Different purposes are independent; the seed and the ids are not negative.
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    purpose_words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
    return np.random.default_rng([seed, *purpose_words, *ids])
