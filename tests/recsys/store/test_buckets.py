"""The bucket of a user is part of the store's schema, and any number of groups loses no row."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.store.buckets import bucket_of

USERS = [0, 1, 2, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**62 + 12345, 2**63 - 1]
MASK = 2**32 - 1


def by_definition(user: int, buckets: int) -> int:
    mixed = ((user ^ (user >> 32)) * 1640531527) & MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1597334677) & MASK
    return mixed * buckets >> 32


@given(user=st.integers(0, 2**63 - 1), buckets=st.integers(1, 4096))
def test_a_bucket_is_that_of_the_definition_in_exact_integers(user: int, buckets: int) -> None:
    (bucket,) = bucket_of(np.array([user]), buckets).tolist()
    assert bucket == by_definition(user, buckets)
    assert 0 <= bucket < buckets


def test_the_bucket_of_a_user_never_changes() -> None:
    assert bucket_of(np.array(USERS), 16).tolist() == [0, 0, 0, 15, 6, 14, 8, 0, 0, 1, 14]


@pytest.mark.parametrize("stride", [1, 2, 16, 1000, 2**20, 2**32])
def test_users_spread_evenly_whatever_the_step_between_their_ids(stride: int) -> None:
    sizes = Counter(bucket_of(stride * np.arange(4096), 16).tolist())
    expected = 4096 / 16
    assert min(sizes[bucket] for bucket in range(16)) > 0.5 * expected
    assert max(sizes.values()) < 1.5 * expected
