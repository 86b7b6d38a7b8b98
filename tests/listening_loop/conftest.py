"""A Dask cluster for the tests of a file."""

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,  # type: ignore[no-untyped-call]  # Dask has no types
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client
