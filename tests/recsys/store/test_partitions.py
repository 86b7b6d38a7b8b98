"""The partition of a user is part of the store's schema, and its rows are in order."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.store import SCHEMA, Manifest, Store
from recsys.store.partitions import divide_plays, partition_of, sort_plays

USERS = [
    0,
    1,
    2,
    7,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**32 + 1,
    2**62 + 12345,
    2**63 - 1,
]
MASK = 2**32 - 1
START_MS = 1_767_225_600_000


def by_definition(user: int, partitions: int) -> int:
    mixed = ((user ^ (user >> 32)) * 1640531527) & MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1597334677) & MASK
    return mixed * partitions >> 32


@given(user=st.integers(0, 2**63 - 1), partitions=st.integers(1, 4096))
def test_a_partition_is_that_of_the_definition_in_exact_integers(
    user: int, partitions: int
) -> None:
    (partition,) = partition_of(np.array([user]), partitions).tolist()
    assert partition == by_definition(user, partitions)
    assert 0 <= partition < partitions


@pytest.mark.parametrize("stride", [1, 2, 16, 1000, 2**20, 2**32])
def test_users_spread_evenly_whatever_the_step_between_their_ids(stride: int) -> None:
    sizes = Counter(partition_of(stride * np.arange(4096), 16).tolist())
    expected = 4096 / 16
    assert min(sizes[partition] for partition in range(16)) > 0.5 * expected
    assert max(sizes.values()) < 1.5 * expected


def draw_plays(count: int, seed: int) -> pa.Table:
    """Draw plays of few users, moments and tracks; two users have no moments.

    Their sessions are numbered.
    """
    numbers = np.random.default_rng(seed)
    users = numbers.choice(USERS, count)
    moments = START_MS + numbers.integers(25, size=count)
    return pa.table(
        {
            "user": users,
            "timestamp": pa.array(moments, mask=users < 2),
            "track": numbers.integers(10, size=count),
            "session": [f"{number:03}" for number in range(count)],
        }
    )


@pytest.mark.parametrize("most", [10**6, 10])
def test_a_part_has_the_plays_of_its_users_in_order(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.store.partitions._SORTED_IN_MEMORY", most)
    tables = [draw_plays(200, 1), draw_plays(1, 2), draw_plays(300, 3)]
    store = Store("store", tmp_path, Manifest(SCHEMA, partitions=2, digest=""))
    parts = sort_plays(divide_plays(tables, tmp_path, 2), tmp_path, store)
    assert list(parts) == [0, 1]
    expected = pa.concat_tables(tables).to_pylist()
    expected.sort(
        key=lambda play: (play["user"], play["timestamp"] or 0, play["track"])
    )
    for partition, part in parts.items():
        assert pq.read_table(part.path).to_pylist() == [
            play for play in expected if by_definition(play["user"], 2) == partition
        ]
