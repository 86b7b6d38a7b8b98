"""How a search comes to its Dask scheduler: processes here, one that is there, hosts by SSH, pods of Kubernetes.

What is started here ends here; a scheduler that was there before goes on.
"""

import importlib.util
import logging
import ssl
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import dask
import distributed
import yaml
from distributed import Client, LocalCluster

from looplib.progress import console
from recsys.cluster.environments import PACKAGE, find_difference
from recsys.cluster_config import ClusterConfig, Kubernetes, Security, Ssh
from recsys.errors import SearchError

CONNECT_TIMEOUT_S = 15
# What a process of ours holds is small or mapped from disk: one that grows is killed, never paused or spilled, either
# of which would leave its call waiting. A death is reported at once; `dispatch` decides what follows from it.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    # A process that dies is started again however long that takes; Dask by itself gives its place up after 15 s.
    "distributed.deploy.lost-worker-timeout": "365d",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}


def connect(config: ClusterConfig, local_workers: int, stack: ExitStack) -> Client:
    """Joins or starts a scheduler, and waits for workers.

    Args:
        config: Where.
        local_workers: How many processes are started where it is this machine.
        stack: Closes the client, and what was started.

    Raises:
        SearchError: There is no scheduler, no worker, a library is missing, or the software there is another.
    """
    dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s"})
    if config.scheduler:
        client = _join(config.scheduler, tls(config.security))
        stack.enter_context(client)
        expected = 1
    else:
        dask.config.set(_SETTINGS)
        cluster, expected = _start(config, local_workers)
        client = Client(stack.enter_context(cluster))
        stack.enter_context(client)
        _await_workers(client, expected, config.wait_for_workers_s)
    if not config.is_local:
        _check_environments(client)
    came = len(client.nthreads())
    missing = f" (of {expected}; the others did not come within {config.wait_for_workers_s:g} s)"
    console.print(
        f"{came} workers{missing if came < expected else ''}, dashboard {client.dashboard_link}", soft_wrap=True
    )
    return client


def tls(security: Security | None) -> distributed.Security | None:
    """The certificates as Dask takes them; None without any.

    Raises:
        SearchError: A file cannot be read, or holds something else.
    """
    if security is None:
        return None
    for name in ("ca", "cert", "key"):
        file = getattr(security, name)
        try:
            file.read_bytes()
        except OSError as error:
            raise SearchError(f"cluster.security.{name}: {file}: cannot be read ({error.strerror})") from None
    made = distributed.Security(
        tls_ca_file=str(security.ca),
        tls_client_cert=str(security.cert),
        tls_client_key=str(security.key),
        require_encryption=True,
    )
    try:
        made.get_connection_args("client")
    except ssl.SSLError as error:
        raise SearchError(
            f"cluster.security: ca {security.ca}, cert {security.cert} and key {security.key} are no certificates in "
            f"PEM with the key of the second ({error})"
        ) from None
    return made


def _join(address: str, security: distributed.Security | None) -> Client:
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, security=security)
    except (OSError, ValueError) as error:
        hint = (
            "start one with dask scheduler"
            if security is None
            else "start one with dask scheduler --tls-ca-file … --tls-cert … --tls-key …, or see whether each side's "
            "certificate is signed by the other's ca"
        )
        raise SearchError(f"{address}: no Dask scheduler answers there ({error}); {hint}") from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
    except TimeoutError:
        client.close()
        raise SearchError(f"{address}: the scheduler has no worker; start one with dask worker {address}") from None
    return client


def _start(config: ClusterConfig, local_workers: int) -> tuple[AbstractContextManager[Any], int]:
    """A cluster with its scheduler running, and how many workers it is to have."""
    if config.ssh:
        return _start_by_ssh(config, config.ssh), len(config.ssh.hosts) * (config.workers or 1)
    if config.kubernetes:
        arguments = kubernetes_arguments(config, config.kubernetes)
        return _start_pods(arguments), arguments["custom_cluster_spec"]["spec"]["worker"]["replicas"]
    local = LocalCluster(
        n_workers=local_workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=config.memory_limit,
        dashboard_address=config.dashboard,
        silence_logs=logging.CRITICAL,  # what a call raises is in its outcome
    )
    return local, local_workers


def _start_by_ssh(config: ClusterConfig, hosts: Ssh) -> AbstractContextManager[Any]:
    _need("asyncssh", "ssh")
    try:
        started: AbstractContextManager[Any] = distributed.SSHCluster(**ssh_arguments(config, hosts))
    except Exception as error:  # asyncssh has errors of its own, and Dask raises bare ones
        raise SearchError(f"cluster.ssh: {', '.join(hosts.hosts)}: no cluster there ({error})") from error
    return started


def _start_pods(arguments: dict[str, Any]) -> AbstractContextManager[Any]:
    _need("dask_kubernetes", "kubernetes")
    from dask_kubernetes.operator import KubeCluster  # an extra of its own

    try:
        started: AbstractContextManager[Any] = KubeCluster(**arguments)
    except Exception as error:  # each of its libraries has errors of its own
        name = arguments["custom_cluster_spec"]["metadata"]["name"]
        raise SearchError(f"cluster.kubernetes: {name} did not start ({type(error).__name__}: {error})") from error
    return started


def ssh_arguments(config: ClusterConfig, ssh: Ssh) -> dict[str, Any]:
    """What `distributed.SSHCluster` is given: the scheduler on the first host, workers on each."""
    login = {
        "username": ssh.username,
        "port": ssh.port,
        "client_keys": ssh.key and [str(ssh.key)],
        "known_hosts": ssh.known_hosts and str(ssh.known_hosts),
    }
    return {
        "hosts": [ssh.hosts[0], *ssh.hosts],
        "connect_options": {
            **{name: value for name, value in login.items() if value is not None},
            "connect_timeout": CONNECT_TIMEOUT_S,
        },
        "scheduler_options": {"port": 0, "dashboard_address": config.dashboard},
        "worker_options": {
            "n_workers": config.workers or 1,
            "nthreads": 1,
            "memory_limit": config.memory_limit if config.memory_limit == "auto" else int(config.memory_limit),
        },
        "remote_python": ssh.python,
    }


def kubernetes_arguments(config: ClusterConfig, pods: Kubernetes) -> dict[str, Any]:
    """What `dask_kubernetes.operator.KubeCluster` is given.

    Raises:
        SearchError: The spec cannot be read or is no DaskCluster.
    """
    try:
        spec = yaml.safe_load(pods.spec.read_text(encoding="utf-8"))
    except OSError as error:
        raise SearchError(f"cluster.kubernetes.spec: {pods.spec}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SearchError(f"cluster.kubernetes.spec: {pods.spec}: not YAML ({error})") from None
    try:
        named = bool(spec["metadata"]["name"])
        spec["spec"]["worker"]["replicas"] = config.workers or spec["spec"]["worker"]["replicas"]
    except (KeyError, TypeError):
        named = False
    if not named:
        raise SearchError(
            f"cluster.kubernetes.spec: {pods.spec}: no DaskCluster resource with metadata.name and spec.worker.replicas"
        )
    return {"custom_cluster_spec": spec, "namespace": pods.namespace, "quiet": True}


def _await_workers(client: Client, expected: int, timeout_s: float) -> None:
    """Waits for all workers, and is content with some.

    Raises:
        SearchError: None came in time.
    """
    try:
        client.wait_for_workers(expected, timeout=timeout_s)
    except TimeoutError:
        if not client.nthreads():
            raise SearchError(
                f"none of {expected} workers came within {timeout_s:g} s; see their logs, or wait longer: "
                "cluster.wait_for_workers_s"
            ) from None


def _check_environments(client: Client) -> None:
    versions: Any = client.get_versions(packages=[PACKAGE])  # a coroutine to asynchronous clients alone
    difference = find_difference(versions)
    if difference:
        raise SearchError(f"{difference}; install the same everywhere (docs/clusters.md)")


def _need(library: str, extra: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise SearchError(
            f"cluster.{extra} needs {library}, which is not installed: pip install 'listening-loop[{extra}]'"
        )
