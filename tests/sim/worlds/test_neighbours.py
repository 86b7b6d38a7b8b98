import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looplib.randomness import make_generator
from sim.worlds.neighbours import nearest_tracks


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    tracks=st.integers(1, 3000),
    count=st.integers(1, 12),
    by_product=st.booleans(),
)
def test_nearest_tracks_are_those_of_a_full_sort(
    seed: int, tracks: int, count: int, by_product: bool
) -> None:
    """Up to many chunks of points; whole coordinates make distances exact, ties common."""
    rng, count = make_generator(seed, "test nearest"), min(count, tracks)
    embeddings = rng.integers(-20, 20, size=(tracks, 4)).astype(np.float32)
    points = rng.integers(tracks, size=600)
    nearest = nearest_tracks(embeddings, points, count, by_inner_product=by_product)
    assert by_product or (nearest[:, 0] == points).all()
    for point, neighbours in zip(points[:5], nearest[:5], strict=True):
        distances = -embeddings @ embeddings[point]
        if not by_product:
            distances = np.linalg.norm(embeddings - embeddings[point], axis=1)
        assert len(set(neighbours.tolist())) == count
        assert distances[neighbours] == pytest.approx(np.sort(distances)[:count])
