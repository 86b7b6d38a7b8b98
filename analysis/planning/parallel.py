"""Call a function for many arguments, here or on an existing Dask cluster.

Dask belongs to `recsys` and is not installed with `analysis` alone; it is imported when a scheduler is named.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from analysis.errors import AnalysisError

T = TypeVar("T")
CONNECT_TIMEOUT_S = 15


def run_all(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], scheduler: str | None = None) -> list[T]:
    """Call a function once for each tuple of arguments.

    Args:
        function: A plain function of a module that the workers have too.
        calls: The arguments.
        scheduler: Address of a Dask scheduler, such as tcp://host:8786; None runs everything here.

    Returns:
        The results in the order of the calls.

    Raises:
        AnalysisError: Dask is not installed, or the scheduler does not answer or has no worker.
    """
    if scheduler is None:
        return [function(*arguments) for arguments in calls]
    try:
        from distributed import Client
    except ImportError:
        raise AnalysisError(
            f"scheduler {scheduler}: Dask is not installed; it comes with pip install 'listening-loop[recsys]'"
        ) from None
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise AnalysisError(f"scheduler {scheduler}: no Dask scheduler answers there ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise AnalysisError(
                f"scheduler {scheduler}: it has no worker; start one with dask worker {scheduler}"
            ) from None
        futures = [client.submit(function, *arguments, pure=False) for arguments in calls]
        results: list[T] = client.gather(futures)
        return results
