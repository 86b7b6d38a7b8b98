"""Check that scheduler and workers have the same software and see the same folders."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import cloudpickle
from distributed import Client, Scheduler, Worker, WorkerPlugin
from distributed.core import Status
from distributed.versions import get_versions

from recsys.errors import SearchError

# A cluster may lose a machine every 20 s, 15 in five minutes. A call that ends more workers needs
# too much memory.
MOST_DEATHS = 15
EVERY_WORKER = (
    "every worker must see the folders of a search, "
    "under the same paths (docs/clusters.md)"
)
_PACKAGE = "listening-loop"

# A process with another version of this package, or without it, can run the check.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Preflight(WorkerPlugin):
    """Check a worker when it joins; a worker that fails says why, and leaves the cluster."""

    def __init__(self, paths: Sequence[Path], client: str) -> None:
        """Note the versions of this process, and the files that every worker must see."""
        self.name = f"preflight-{uuid4().hex}"
        self.client = client
        self.paths = [path.absolute() for path in paths]
        self.packages = get_versions([_PACKAGE])["packages"]

    def find_failure(self, process: str, paths: Sequence[Path] = ()) -> str | None:
        """Describe a file that this process does not see, or its other software; else None.

        Calls travel pickled, so all need the same code. Dask itself warns of another Python.
        """
        for path in paths:
            if not path.exists():
                return f"{process} does not see {path}; {EVERY_WORKER}"
        packages = get_versions([_PACKAGE])["packages"]
        for name in ("dask", "distributed", _PACKAGE):
            if packages[name] != self.packages[name]:
                return (
                    f"{process} has {name} {packages[name]}, and the search {name} "
                    f"{self.packages[name]}; install the same everywhere (docs/clusters.md)"
                )
        return None

    def prepare(self, dask_scheduler: Scheduler) -> str | None:
        """Let the scheduler lose more workers than a call has killed; describe its failure."""
        deaths = max(dask_scheduler.allowed_failures, MOST_DEATHS)
        dask_scheduler.allowed_failures = deaths
        return self.find_failure("the scheduler")

    async def setup(self, worker: Worker) -> None:
        """Check a worker before its first call, while the search lasts."""
        events = await worker.scheduler.events(topic=self.client)
        failure = self.find_failure(f"the worker {worker.address}", self.paths)
        if failure and events and events[-1][1].get("action") != "remove-client":
            worker.status = Status.paused  # no call begins until it has left
            # every client prints this topic on its stderr
            said = {"args": (f"{failure}; it is left out",), "file": 2}
            await worker.scheduler.log_event(topic="print", msg=said)
            worker.loop.add_callback(worker.close_gracefully, reason=failure)


@contextmanager
def checking_workers(client: Client, seen: Sequence[Path]) -> Iterator[None]:
    """Check the scheduler, and every worker that is there or joins in the block.

    Raises:
        SearchError: The scheduler has other software than this process.
    """
    plugin = Preflight(seen, client.id)
    failure = client.run_on_scheduler(plugin.prepare)  # type: ignore[no-untyped-call]
    if failure:
        raise SearchError(failure)
    client.register_plugin(plugin)
    try:
        yield
    finally:
        with suppress(Exception):  # the scheduler is lost
            client.unregister_worker_plugin(plugin.name)  # type: ignore[no-untyped-call]
