"""The partition of a user is part of the store's schema, and its rows are in order."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.store.partitions import PLAY_SCHEMA, Partitioner, partition_of

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


def table(rows: int, seed: int) -> pa.Table:
    """Draw rows of few users, moments and tracks; two users have no moments.

    Their sessions are numbered.
    """
    numbers = np.random.default_rng(seed)
    users = numbers.choice(USERS, rows)
    moments = START_MS + numbers.integers(25, size=rows)
    return pa.table(
        {
            "user": users,
            "timestamp": pa.array(moments, mask=users < 2),
            "message": numbers.choice(["next", "last"], rows),
            "track": numbers.integers(10, size=rows),
            "time": numbers.integers(101, size=rows) / 100,
            "session": [f"{number:03}" for number in range(rows)],
        }
    )


def test_a_part_has_the_rows_of_its_users_in_order(tmp_path: Path) -> None:
    tables = [table(200, 1), table(1, 2), table(300, 3)]
    partitioner = Partitioner(tmp_path, 2)
    for rows in tables:
        partitioner.add(rows)
    parts = partitioner.finish({})
    assert list(parts) == [0, 1]
    names = ("user", "timestamp", "message", "track", "time", "session")
    expected = [
        tuple(row[name] for name in names)
        for row in pa.concat_tables(tables).to_pylist()
    ]
    expected.sort(key=lambda row: (row[0], row[1] or 0, row[2] == "last", row[3]))
    for partition, part in parts.items():
        found = pq.read_table(part)
        assert found.schema.equals(PLAY_SCHEMA)
        rows = zip(*(found[name].to_pylist() for name in names), strict=True)
        assert list(rows) == [
            row for row in expected if by_definition(row[0], 2) == partition
        ]
