import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.randomness import make_generator
from sim.listening.response import dot_rows


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), dimensions=st.integers(1, 70))
def test_a_product_is_the_same_whatever_is_beside_it(
    seed: int, dimensions: int
) -> None:
    rng = make_generator(seed, "test dots")
    embeddings = rng.normal(size=(20, dimensions)).astype(np.float32)
    tracks, interests = rng.integers(20, size=(2, 50))
    together = dot_rows(embeddings, tracks, interests)
    rows = np.arange(50)[:, np.newaxis]
    alone = [dot_rows(embeddings, tracks[row], interests[row]) for row in rows]
    assert np.array_equal(together, np.concatenate(alone))
    exact = embeddings.astype(np.float64)
    assert together == pytest.approx((exact[tracks] * exact[interests]).sum(axis=1))
