"""Random numbers that are hashes, of a pair of ids or of another draw: no state, no order.

The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014).
"""

import numpy as np

from looplib.arrays import FloatArray, IntArray, WordArray

RETURN, SESSION = 3, 6  # purposes of a session's draws
_STEP = 0x9E3779B97F4A7C15
_WORDS = 2**64


def float_bits(uniform: FloatArray) -> WordArray:
    """Return the bits of draws from [0, 1)."""
    return np.ascontiguousarray(uniform, dtype=np.float64).view(np.uint64)


def pair_bits(seed: int, first: IntArray, second: IntArray) -> WordArray:
    """Return bits that follow from a seed and each pair of ids, which are broadcast."""
    step = np.uint64(_STEP)
    start = _mix(np.full(1, seed % _WORDS, dtype=np.uint64))
    firsts = _mix(start + first.astype(np.uint64) * step)
    return _mix(firsts + second.astype(np.uint64) * step)


def uniforms(bits: WordArray, purpose: int) -> FloatArray:
    """Return a draw from (0, 1) for each word, another one for each purpose."""
    words = _salt(bits, purpose) >> np.uint64(11)
    return (words.astype(np.float64) + 0.5) * 2.0**-53


def normals(bits: WordArray, purpose: int) -> FloatArray:
    """Return a standard normal draw for each word, by Box and Muller's transform.

    It takes the purpose and the one after it.
    """
    radius = np.sqrt(-2.0 * np.log(uniforms(bits, purpose)))
    return radius * np.cos(2.0 * np.pi * uniforms(bits, purpose + 1))


def _salt(bits: WordArray, purpose: int) -> WordArray:
    return _mix(bits + np.uint64(_STEP * purpose % _WORDS))


def _mix(words: WordArray) -> WordArray:
    """Return SplitMix64's next words."""
    words = words + np.uint64(_STEP)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
