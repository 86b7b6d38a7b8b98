"""The cluster of a configuration, its queue, and schedulers that do not answer."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import psutil
import pytest
from distributed import Client, LocalCluster

from looplib.config import load_config
from looplib.errors import ConfigError
from recsys.cluster import cluster as module
from recsys.cluster import processes
from recsys.cluster.cluster import Cluster, Job, Plan
from recsys.cluster.config import ClusterConfig
from recsys.cluster.processes import call_threads
from recsys.errors import SearchError
from tests.programs import free_port
from tests.waiting import wait_until


@pytest.mark.parametrize(
    "address", ["HOST:8786", "http://h:8786", "tcp://h", "tls://h:x"]
)
def test_an_address_that_is_no_scheduler_s_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"(found '{address}')")):
        load_config(ClusterConfig, None, [f"scheduler={address}"])


def test_without_a_call_nothing_is_started_or_joined(tmp_path: Path) -> None:
    with Cluster(
        ClusterConfig(scheduler="tcp://nowhere:1"), (tmp_path / "missing",)
    ) as cluster:
        assert list(cluster.run(max, [])) == []
    assert not list(tmp_path.iterdir())


def refusal(config: ClusterConfig) -> str:
    with Cluster(config) as cluster, pytest.raises(SearchError) as refused:
        list(cluster.run(max, [(1, 2)]))
    return str(refused.value)


@pytest.mark.dask
@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 1)
    address = f"127.0.0.1:{free_port()}"
    line = refusal(ClusterConfig(scheduler=f"tcp://{address}"))
    assert re.match(
        rf"tcp://{address}: no Dask scheduler answers there .*; start one with dask scheduler$",
        line,
    )
    line = refusal(
        ClusterConfig(scheduler=f"tls://{address}")
    )  # no certificates are configured
    assert re.match(
        rf"tls://{address}: no Dask scheduler answers there .*; see TLS in docs/clusters\.md$",
        line,
    )


@pytest.fixture
def workers() -> Iterator[LocalCluster]:
    """A cluster in this process, which has no worker yet."""
    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as started:
        yield started


def together(calls: int) -> int:
    """Count the threads of a call when so many calls run at once."""
    _begin(calls)
    threads = call_threads()
    _begin(calls)
    return threads


def _begin(calls: int) -> None:
    BARRIERS.setdefault(calls, Barrier(calls)).wait(timeout=60)


BARRIERS: dict[int, Barrier] = {}


@pytest.mark.dask
@pytest.mark.slow
def test_a_search_waits_for_its_first_worker_and_grows_an_adaptive_cluster(
    workers: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that wait for two others end only if the cluster sees that many are queued."""
    said = []

    def grow(text: str) -> None:
        said.append(text)
        if text.startswith("no worker; 12 calls wait"):
            workers.adapt(
                minimum=0, maximum=3, interval="50ms", target_duration="500ms"
            )

    monkeypatch.setattr(module, "REMIND_S", 0.2)
    monkeypatch.setattr(module, "say", grow)
    monkeypatch.setattr(processes, "usable_cores", lambda: 7)
    with Client(workers) as client, Cluster(ClusterConfig(), client=client) as cluster:
        assert [*cluster.run(together, [(3,)] * 12)] == [2] * 12
        assert [*cluster.run(together, [(1,)])] == [7]
    assert f"dask worker {workers.scheduler_address} --host" in said[1]


BEGAN: list[int] = []
QUEUED: set[str] = set()  # names of calls


def begin(key: int) -> None:
    """Note that a call begins; the first waits until all are queued, and notes their names."""
    BEGAN.append(key)
    tasks = vars(begin)["tasks"]
    wait_until(lambda: len(tasks) == 6 or len(BEGAN) > 1, "the calls")
    QUEUED.update(name for _, name, _ in [*tasks])


def plan_begin(key: int) -> Plan[None]:
    yield [(begin, key)]


@pytest.mark.dask
@pytest.mark.slow
def test_the_most_urgent_calls_run_first_under_names_of_their_own(
    workers: LocalCluster,
) -> None:
    workers.scale(1)
    BEGAN.clear()
    QUEUED.clear()
    assert workers.scheduler
    vars(begin)["tasks"] = workers.scheduler.tasks
    jobs = [Job(number, plan_begin(number), number) for number in range(6)]
    with Client(workers) as client, Cluster(ClusterConfig(), client=client) as cluster:
        client.wait_for_workers(1)
        for _ in cluster.run_jobs(lambda: [job for job in jobs if not job.is_ended]):
            pass
    assert set("012345") == QUEUED
    assert BEGAN[2:] == sorted(BEGAN[2:], reverse=True)


@pytest.mark.dask
@pytest.mark.slow
def test_a_performance_report_is_written_by_dask_unless_the_search_fails(
    workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    workers.scale(1)

    class Report:
        def __init__(self, name: str) -> None:
            self.file = Path(name)

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            self.file.touch()

    def search(*calls: tuple[int, ...]) -> None:
        with (
            Client(workers) as client,
            Cluster(ClusterConfig(), client=client, report=file) as cluster,
        ):
            list(cluster.run(max, calls))

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(SearchError, match="needs bokeh where the scheduler runs"):
        search((1, 2))
    monkeypatch.setattr(module, "find_spec", lambda _: True)
    monkeypatch.setattr(module, "performance_report", Report)
    with pytest.raises(TypeError):
        search((1,))
    assert not file.exists()
    search((1, 2))
    assert file.exists()


@pytest.mark.dask
@pytest.mark.slow
def test_processes_of_this_machine_listen_on_loopback_alone_hear_no_ctrl_c_and_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_LATE_SETTING", "kept")
    before = _programs_below()
    with Cluster(ClusterConfig(workers=1)) as cluster:
        assert sorted(cluster.run(max, [(1, 2), (4, 3)])) == [2, 4]
        assert [*cluster.run(os.getenv, [("A_LATE_SETTING",)])] == ["kept"]
        (handler,) = cluster.run(signal.getsignal, [(signal.SIGINT,)])
        assert handler == signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) != signal.SIG_IGN
        address = str(cluster._client.scheduler_info()["address"])
        assert address.startswith("tls://127.0.0.1:")
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 2)
        without_keys = ClusterConfig(scheduler=address.replace("tls", "tcp"))
        assert "no Dask scheduler answers" in refusal(without_keys)
        assert "//127.0.0.1:" in cluster._client.dashboard_link
        monkeypatch.setattr(LocalCluster, "close", _close_late)
    assert _programs_below() <= before


_close = LocalCluster.close


def _close_late(cluster: LocalCluster) -> None:
    """Close a cluster whose processes took too long, as when the forkserver was stopped."""
    _close(cluster)
    raise TimeoutError


def _programs_below() -> set[int]:
    """The processes that this one started, without those that multiprocessing keeps to the end."""
    kept = set()
    children = psutil.Process().children()
    for child in children:
        if "from multiprocessing." in " ".join(child.cmdline()):
            kept.add(child.pid)
    below = psutil.Process().children(recursive=True)
    return {process.pid for process in below} - kept


UNGUARDED = """
from recsys.cluster.cluster import Cluster, Job, Plan
from recsys.cluster.config import ClusterConfig
from recsys.errors import SearchError

try:
    Cluster(ClusterConfig(workers=2))  # before any work
except SearchError as error:
    print(error)
assert list(Cluster(ClusterConfig(), is_here=True).run(max, [(1, 2)])) == [2]
"""


@pytest.mark.dask
@pytest.mark.slow
def test_a_script_without_a_guard_gets_one_line_that_says_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )
    (line,) = ran.stdout.splitlines()
    assert 'below if __name__ == "__main__"' in line
    assert not ran.stderr


@pytest.mark.dask
@pytest.mark.slow
def test_a_client_that_is_closed_is_refused() -> None:
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as started:
        client = Client(started)
        client.close()
    with (
        Cluster(ClusterConfig(), client=client) as cluster,
        pytest.raises(SearchError, match="an open one is needed"),
    ):
        list(cluster.run(max, [(1, 2)]))
