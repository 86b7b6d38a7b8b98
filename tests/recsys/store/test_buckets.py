"""The bucket of a user is part of the store's schema, and its rows are in order in slices of any size."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.store import buckets
from recsys.store.buckets import EVENTS, INTERACTIONS, Bucketing, bucket_of

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
MOMENT = 2 * 1_767_225_600_000


def by_definition(user: int, buckets: int) -> int:
    mixed = ((user ^ (user >> 32)) * 1640531527) & MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1597334677) & MASK
    return mixed * buckets >> 32


@given(user=st.integers(0, 2**63 - 1), buckets=st.integers(1, 4096))
def test_a_bucket_is_that_of_the_definition_in_exact_integers(
    user: int, buckets: int
) -> None:
    (bucket,) = bucket_of(np.array([user]), buckets).tolist()
    assert bucket == by_definition(user, buckets)
    assert 0 <= bucket < buckets


def test_the_bucket_of_a_user_never_changes() -> None:
    assert bucket_of(np.array(USERS), 16).tolist() == [
        0,
        0,
        0,
        15,
        6,
        14,
        8,
        0,
        0,
        1,
        14,
    ]


@pytest.mark.parametrize("stride", [1, 2, 16, 1000, 2**20, 2**32])
def test_users_spread_evenly_whatever_the_step_between_their_ids(stride: int) -> None:
    sizes = Counter(bucket_of(stride * np.arange(4096), 16).tolist())
    expected = 4096 / 16
    assert min(sizes[bucket] for bucket in range(16)) > 0.5 * expected
    assert max(sizes.values()) < 1.5 * expected


def batch(rows: int, seed: int) -> pa.RecordBatch:
    """Rows of few users, moments and tracks; their sessions are numbered."""
    numbers = np.random.default_rng(seed)
    columns = {
        "user": numbers.choice(USERS, rows),
        "moment": MOMENT + numbers.integers(50, size=rows),
        "track": numbers.integers(10, size=rows),
        "time": numbers.integers(101, size=rows) / 100,
        "latency": numbers.random(rows),
        "session": [f"{number:03}" for number in range(rows)],
    }
    arrays = {
        name: columns.get(name, [None] * rows)
        for name in ["moment", *EVENTS.schema.names]
    }
    types = {
        "moment": pa.int64(),
        **dict(zip(EVENTS.schema.names, EVENTS.schema.types, strict=True)),
    }
    left_out = ("timestamp", "message")
    return pa.record_batch(
        {
            name: pa.array(values, types[name])
            for name, values in arrays.items()
            if name not in left_out
        }
    )


@pytest.mark.parametrize("slice_rows", [1, 7, 100, 10**6])
def test_a_part_has_the_rows_of_its_users_in_order_in_slices_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_rows: int
) -> None:
    monkeypatch.setattr(buckets, "SLICE_ROWS", slice_rows)
    batches = [batch(200, 1), batch(1, 2), batch(300, 3)]
    bucketing = Bucketing(tmp_path, EVENTS, 2)
    assert bucketing.add(1, [batch(50, 9)]) == 50
    assert bucketing.add(1, batches[1:]) == 301
    assert bucketing.add(0, batches[:1]) == 200
    parts = bucketing.finish()
    assert list(parts) == [0, 1]
    expected = []
    for row in pa.Table.from_batches([*batches[1:], batches[0]]).to_pylist():
        is_last = row["moment"] % 2
        expected.append(
            (
                row["user"],
                row["moment"] // 2,
                is_last,
                row["track"],
                row["time"],
                row["session"],
            )
        )
    expected.sort(key=lambda row: row[:4])
    for bucket, part in parts.items():
        table = pq.read_table(part)
        names = ("user", "timestamp", "message", "track", "time", "session")
        found = zip(*(table[name].to_pylist() for name in names), strict=True)
        assert [
            (user, moment, message == "last", *rest)
            for user, moment, message, *rest in found
        ] == [row for row in expected if by_definition(row[0], 2) == bucket]


def test_interactions_without_timestamps_are_sorted_by_user_and_track(
    tmp_path: Path,
) -> None:
    rows = pa.record_batch(
        {
            "user": [1, 2, 2],
            "moment": pa.array([None] * 3, pa.int64()),
            "track": [5, 9, 3],
            "time": [1.0, 2.0, 3.0],
            "session": pa.array([None] * 3, pa.string()),
            "source": ["a"] * 3,
        }
    )
    bucketing = Bucketing(tmp_path, INTERACTIONS, 1)
    bucketing.add(0, [rows])
    table = pq.read_table(bucketing.finish()[0])
    assert table["track"].to_pylist() == [5, 3, 9]
    assert table["timestamp"].to_pylist() == [None] * 3
