"""Draw random numbers that are hashes of ids: no state, no order.

The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014).
"""

import numpy as np

from looplib.arrays import FloatArray, IntArray, WordArray

_STEP = 0x9E3779B97F4A7C15
_WORDS = 2**64
_SESSION = 6  # a number for the purpose: the draws of `normals` have 0 and 1


def normals(seed: int, first: IntArray, second: IntArray) -> FloatArray:
    """Draw a standard normal number for each pair of ids, by Box and Muller's transform.

    Args:
        seed: The seed of all draws.
        first: Ids, broadcast with the second.
        second: Ids.

    Returns:
        One number a pair, always the same for a seed and a pair.
    """
    bits = _hash_pairs(seed, first, second)
    radius = np.sqrt(-2.0 * np.log(_uniforms(bits, 0)))
    return radius * np.cos(2.0 * np.pi * _uniforms(bits, 1))


def session_draws(seed: int, sessions: IntArray, index: IntArray | int) -> FloatArray:
    """Draw from (0, 1) for each session, by its number and an index in its endless row of draws."""
    return _uniforms(_hash_pairs(seed, sessions, np.asarray(index)), _SESSION)


def scale_below(limits: IntArray, uniform: FloatArray) -> IntArray:
    """Turn a draw from [0, 1) for each limit into a uniform whole number from 0 to below it."""
    return np.minimum((uniform * limits).astype(np.int64), limits - 1)


def _hash_pairs(seed: int, first: IntArray, second: IntArray) -> WordArray:
    start = _mix(np.full(1, seed % _WORDS, dtype=np.uint64))
    firsts = _mix(start + first.astype(np.uint64) * _STEP)
    return _mix(firsts + second.astype(np.uint64) * _STEP)


def _uniforms(bits: WordArray, purpose: int) -> FloatArray:
    """Draw from (0, 1) for each word, another number for each purpose."""
    words = _mix(bits + np.uint64(_STEP * purpose % _WORDS)) >> np.uint64(11)
    return (words.astype(np.float64) + 0.5) * 2.0**-53


def _mix(words: WordArray) -> WordArray:
    """Compute SplitMix64's next words."""
    words = words + np.uint64(_STEP)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
