"""Random numbers that are hashes, of a pair of ids or of another draw: no state, no order.

A track that is heard has one draw from [0, 1), which decides on boredom. Whatever else is random
about it follows from the bits of that draw, hashed with a number for the purpose: so collection,
environment and remote traffic need no other stream, and a world without noise keeps its logs to the
byte. The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014).
"""

import numpy as np

from looplib.arrays import FloatArray, IntArray, WordArray

# purposes: of what follows from a track's draw, and of a session's own draws
CHANGE, WHICH_CHANGE, RETURN, SHARE, REST, SESSION = range(1, 7)
_STEP = 0x9E3779B97F4A7C15
_WORDS = 2**64
_PER_ATTEMPT = 3  # purposes of a Gamma's draw that can be rejected
_LEAST = 1e-9  # of a shape; the draw is all or nothing long before


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


def betas(mean: FloatArray, concentration: float, bits: WordArray) -> FloatArray:
    """Return a draw for each mean from Beta(concentration * mean, concentration * (1 - mean)).

    Its variance is mean * (1 - mean) / (concentration + 1); at concentration 0 it is 1 with
    probability mean, else 0.
    """
    if concentration == 0:
        return (uniforms(bits, SHARE) < mean).astype(np.float64)
    alpha = np.maximum(concentration * mean, _LEAST)
    beta = np.maximum(concentration * (1.0 - mean), _LEAST)
    log_x = _log_gammas(alpha, bits, SHARE)
    log_y = _log_gammas(beta, bits, REST)
    # x / (x + y), of logarithms
    drawn: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * (log_x - log_y)))
    return np.where((mean <= 0.0) | (mean >= 1.0), mean, drawn)


def _log_gammas(shape: FloatArray, bits: WordArray, purpose: int) -> FloatArray:
    """Return the logarithm of a Gamma draw for each shape.

    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); a
    shape below 1 takes a draw of shape + 1 times U ** (1 / shape), which would underflow as a
    number.
    """
    is_small = shape < 1.0
    offset = np.where(is_small, shape + 1.0, shape) - 1.0 / 3.0
    salted = _salt(bits, purpose)
    found = np.empty(len(shape))
    waiting = np.arange(len(shape))
    attempt = 1
    while len(waiting):
        d = offset[waiting]
        words = salted[waiting]
        normal = normals(words, attempt)
        v = np.maximum(1.0 + normal / np.sqrt(9.0 * d), 0.0) ** 3
        with np.errstate(divide="ignore", invalid="ignore"):
            log_v = np.log(v)
            bound = 0.5 * normal**2 + d - d * v + d * log_v
        is_accepted = np.log(uniforms(words, attempt + 2)) < bound
        found[waiting[is_accepted]] = np.log(d[is_accepted]) + log_v[is_accepted]
        waiting = waiting[~is_accepted]
        attempt += _PER_ATTEMPT
    boost = np.where(is_small, np.log(uniforms(salted, 0)) / shape, 0.0)
    total: FloatArray = found + boost
    return total


def _salt(bits: WordArray, purpose: int) -> WordArray:
    return _mix(bits + np.uint64(_STEP * purpose % _WORDS))


def _mix(words: WordArray) -> WordArray:
    """Return SplitMix64's next words."""
    words = words + np.uint64(_STEP)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
