"""Rows on disk by the first byte of a key, in the order in which they came."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from upcare_mpc.storage.partition import Partition

SCHEMA = pa.schema([("key", pa.binary(4)), ("arrival", pa.int64())])


def batch(keys: list[bytes], first: int = 0) -> Any:
    arrivals = range(first, first + len(keys))
    return pa.record_batch([pa.array(keys, pa.binary(4)), pa.array(arrivals)], schema=SCHEMA)


def random_keys(count: int) -> list[bytes]:
    source = random.Random(3)
    return [source.randbytes(4) for _ in range(count)]


@pytest.mark.parametrize("run_bytes", [1, 500, 2**25])
@pytest.mark.parametrize("count", [1, 2, 256])
def test_every_row_is_in_its_bucket_in_the_order_of_arrival(
    tmp_path: Path, run_bytes: int, count: int
) -> None:
    keys = random_keys(3000)
    rows = Partition(tmp_path, "rows", SCHEMA, buckets=count, run_bytes=run_bytes)
    for first in range(0, 3000, 70):
        rows.add(batch(keys[first : first + 70], first))

    buckets = [bucket.to_pylist() for bucket in rows.buckets()]

    assert len(buckets) == count
    for number, bucket in enumerate(buckets):
        expected = [i for i, key in enumerate(keys) if key[0] * count // 256 == number]
        assert [row["arrival"] for row in bucket] == expected
        assert [row["key"] for row in bucket] == [keys[i] for i in expected]
    assert rows.runs == (43 if run_bytes == 1 else rows.runs)


def test_a_slice_is_stored_as_the_rows_that_it_shows(tmp_path: Path) -> None:
    keys = random_keys(100)
    rows = Partition(tmp_path, "rows", SCHEMA, buckets=4)
    rows.add(batch(keys).slice(10, 5))

    found = [row["arrival"] for bucket in rows.buckets() for row in bucket.to_pylist()]

    assert sorted(found) == [10, 11, 12, 13, 14]


def test_nothing_gives_empty_buckets(tmp_path: Path) -> None:
    buckets = list(Partition(tmp_path, "rows", SCHEMA, buckets=4).buckets())

    assert [bucket.num_rows for bucket in buckets] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_runs_after_a_known_one_are_forgotten(tmp_path: Path) -> None:
    first = Partition(tmp_path, "rows", SCHEMA, buckets=4, run_bytes=1)
    first.add(batch([b"aaaa"]))
    first.add(batch([b"bbbb"], 1))

    again = Partition(tmp_path, "rows", SCHEMA, buckets=4, runs=1)
    again.add(batch([b"cccc"], 1))

    found = [row["key"] for bucket in again.buckets() for row in bucket.to_pylist()]
    assert found == [b"aaaa", b"cccc"]
    assert again.runs == 2
