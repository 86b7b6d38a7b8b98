"""The order of a bucket's rows, whatever the size of the slices it is sorted in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.store import sort as sorting
from recsys.store.columns import EVENTS, INTERACTIONS
from recsys.store.sort import Run, sort_order, user_ranges, write_sorted

rows_of = st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=30)


@given(rows=rows_of)
def test_rows_are_in_the_order_of_user_moment_track_and_equal_ones_stay(rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    expected = sorted(range(len(rows)), key=lambda position: rows[position])
    assert sort_order(*columns).tolist() == expected


@given(users=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=50), ranges=st.integers(1, 20))
def test_every_user_is_in_one_range_and_the_ranges_are_in_order(users: list[int], ranges: int) -> None:
    found = user_ranges(np.array(users, np.int64), ranges)
    assert 1 <= len(found) <= ranges
    assert found == sorted(found)
    for user in (*users, 0, 2**63 - 1):
        assert sum(first <= user <= last for first, last in found) == 1


def test_ranges_hold_about_as_many_rows_each() -> None:
    users = np.arange(1000)
    assert [int(((users >= first) & (users <= last)).sum()) for first, last in user_ranges(users, 10)] == [100] * 10


SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "moment": pa.int64(),
        **{field.name: field.type for field in EVENTS.schema if field.name not in ("user", "timestamp", "message")},
    }
)


def write_runs(folder: Path, sizes: Sequence[int]) -> list[Run]:
    generator = np.random.default_rng(1)
    folder.mkdir(exist_ok=True)
    runs = []
    with pa.OSFile(str(folder / "runs.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as written:
        for position, rows in enumerate(sizes):
            columns = {
                "user": np.sort(generator.integers(30, size=rows)),
                "moment": 2 * 1_767_225_600_000 + generator.integers(50, size=rows),
                "track": generator.integers(10, size=rows),
                "time": generator.integers(101, size=rows) / 100,
                "latency": generator.random(rows),
                "recommendation": [None] * rows,
                "experiments": ["{}"] * rows,
                "session": [f"s{number}" for number in range(rows)],
                "recommender": [None] * rows,
                "propensity": [None] * rows,
            }
            arrays = [pa.array(columns[field.name]).cast(field.type) for field in SCHEMA]
            written.write_batch(pa.record_batch(arrays, schema=SCHEMA))
            runs.append(Run(folder / "runs.arrow", position, rows))
    return runs


@pytest.mark.parametrize("slice_rows", [1, 7, 100, 10**6])
def test_a_part_is_the_same_in_slices_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_rows: int
) -> None:
    runs = write_runs(tmp_path / "runs", [200, 1, 300])
    whole = write_sorted(3, runs, EVENTS, tmp_path / "whole.parquet")
    monkeypatch.setattr(sorting, "SLICE_ROWS", slice_rows)
    sliced = write_sorted(3, runs, EVENTS, tmp_path / "sliced.parquet")
    table = pq.read_table(sliced.file)
    assert table.equals(pq.read_table(whole.file))
    assert (sliced.bucket, sliced.rows) == (3, 501)
    times = table["timestamp"].to_pylist()
    assert (sliced.first_timestamp, sliced.last_timestamp) == (min(times), max(times))
    keys = zip(*(table[key].to_pylist() for key in ("user", "timestamp", "message", "track")), strict=True)
    in_order = [(user, timestamp, message == "last", track) for user, timestamp, message, track in keys]
    assert in_order == sorted(in_order)


def test_a_part_has_the_schema_that_the_store_documents(tmp_path: Path) -> None:
    part = write_sorted(0, write_runs(tmp_path / "runs", [5]), EVENTS, tmp_path / "part.parquet")
    schema = pq.read_schema(part.file)
    assert schema.names == EVENTS.schema.names
    assert schema.field("message").type == pa.string()
    assert schema.field("latency").type == pa.float64()


def test_interactions_without_timestamps_are_sorted_by_user_and_track(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "user": [1, 2, 2],
            "moment": pa.array([None] * 3, pa.int64()),
            "track": [5, 9, 3],
            "time": [1.0, 2.0, 3.0],
            "session": pa.array([None] * 3, pa.string()),
            "source": ["a"] * 3,
        }
    )
    with pa.OSFile(str(tmp_path / "runs.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as written:
        written.write_table(rows)
    part = write_sorted(0, [Run(tmp_path / "runs.arrow", 0, 3)], INTERACTIONS, tmp_path / "part.parquet")
    table = pq.read_table(part.file)
    assert table["track"].to_pylist() == [5, 3, 9]
    assert table["timestamp"].to_pylist() == [None] * 3
    assert (part.first_timestamp, part.last_timestamp) == (None, None)
