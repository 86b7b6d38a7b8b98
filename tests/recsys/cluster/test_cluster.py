"""Which cluster a configuration means, and schedulers that do not answer or have no worker."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from looplib.config import load_config
from looplib.errors import ConfigError
from recsys.cluster import cluster as module
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.errors import SearchError
from tests.programs import free_port


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


def test_a_few_calls_share_the_cores_of_this_machine_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Cluster, "slots", lambda _: 4)
    with ExitStack() as stack:
        here = Cluster(ClusterConfig(), stack)
        assert [here.threads_of(calls) for calls in (0, 1, 2, 3, 9)] == [1, 4, 2, 1, 1]
        elsewhere = Cluster(ClusterConfig(scheduler="tcp://host:8786"), stack)
        assert elsewhere.threads_of(1) == 1


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


@pytest.mark.dask
@pytest.mark.slow
def test_a_scheduler_without_workers_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAIT_FOR_WORKERS_S", 0.5)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        line = refusal(ClusterConfig(scheduler=address))
    assert line.startswith(f"{address}: no worker for 0.5 s; start some (dask worker ")


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
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.errors import SearchError

with Cluster(ClusterConfig(workers=2)) as cluster:
    try:
        list(cluster.run(max, [(1, 2)]))
    except SearchError as error:
        print(error)
        assert type(error).__name__ == "SearchError"
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
