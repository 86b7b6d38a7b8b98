"""Which cluster a configuration means, and what Dask is asked for."""

import getpass
import inspect
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import distributed
import pytest
import yaml

from looplib.config import load_config
from looplib.errors import ConfigError
from recsys.cluster.launch import connect, kubernetes_arguments, ssh_arguments, tls
from recsys.cluster_config import ClusterConfig, Kubernetes, Security, Ssh
from recsys.errors import SearchError
from tests.programs import free_port, need
from tests.recsys.by_hand import processes, wait_until
from tests.recsys.certificates import make_certificates

CERTIFICATES = ["security.ca=a", "security.cert=b", "security.key=c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["scheduler=HOST:8786"], "scheduler: expected tcp://HOST:PORT or tls://HOST:PORT (found 'HOST:8786')"),
        (["scheduler=tls://h:8786"], "tls://h:8786 needs security: ca, cert and key"),
        (["scheduler=tcp://h:8786", *CERTIFICATES], "security belongs to a scheduler at tls://…"),
        (CERTIFICATES, "security belongs to a scheduler at tls://…, and scheduler is None"),
        (["scheduler=tcp://h:8786", "ssh.hosts=[a]"], "scheduler and ssh are given; choose one"),
        (["ssh.hosts=[a]", "kubernetes.spec=x.yaml"], "ssh and kubernetes are given; choose one"),
        (["ssh.hosts=[]"], "ssh.hosts: Tuple should have at least 1 item"),
        (["security.certificate=b"], "security.certificate: unknown key; the nearest known key is cert"),
    ],
)
def test_a_cluster_is_one_thing(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(ClusterConfig, None, given)


def test_processes_here_are_the_default_and_the_only_local_ones() -> None:
    assert ClusterConfig().is_local
    for given in (["scheduler=tls://[::1]:8786", *CERTIFICATES], ["ssh.hosts=[a]"], ["kubernetes.spec=x.yaml"]):
        assert not load_config(ClusterConfig, None, given).is_local


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    ours, theirs = make_certificates(tmp_path / "ours"), make_certificates(tmp_path / "theirs")
    security = tls(Security(ca=ours.ca, cert=ours.cert, key=ours.key))
    assert security is not None
    assert security.require_encryption
    with pytest.raises(SearchError, match=r"cluster\.security\.ca: .*nowhere: cannot be read \(No such file"):
        tls(Security(ca=tmp_path / "nowhere", cert=ours.cert, key=ours.key))
    for wrong in (
        Security(ca=ours.ca, cert=ours.cert, key=theirs.key),
        Security(ca=ours.key, cert=ours.cert, key=ours.key),
    ):
        with pytest.raises(SearchError, match="are no certificates in PEM with the key of the second"):
            tls(wrong)


def test_ssh_puts_the_scheduler_on_the_first_host_and_workers_on_each(tmp_path: Path) -> None:
    key = tmp_path / "key"
    ssh = Ssh(hosts=("a", "b"), username="me", port=2222, key=key, python="/shared/python")
    arguments = ssh_arguments(ClusterConfig(ssh=ssh, workers=3), ssh)
    inspect.signature(distributed.SSHCluster).bind(**arguments)
    assert arguments["hosts"] == ["a", "a", "b"]
    assert arguments["connect_options"] == {
        "username": "me",
        "port": 2222,
        "client_keys": [str(key)],
        "connect_timeout": 15,
    }
    assert arguments["worker_options"] == {"n_workers": 3, "nthreads": 1, "memory_limit": "auto"}
    assert arguments["remote_python"] == "/shared/python"


def resource(tmp_path: Path, document: object) -> Kubernetes:
    file = tmp_path / "resource.yaml"
    file.write_text(yaml.safe_dump(document))
    return Kubernetes(spec=file, namespace="music")


def test_pods_are_as_many_as_the_configuration_says_else_the_resource(tmp_path: Path) -> None:
    pods = resource(tmp_path, {"metadata": {"name": "search"}, "spec": {"worker": {"replicas": 4}}})
    for workers, replicas in ((None, 4), (8, 8)):
        arguments = kubernetes_arguments(ClusterConfig(kubernetes=pods, workers=workers), pods)
        assert arguments["namespace"] == "music"
        assert arguments["custom_cluster_spec"]["spec"]["worker"]["replicas"] == replicas
        if find_spec("dask_kubernetes"):
            from dask_kubernetes.operator import KubeCluster

            inspect.signature(KubeCluster).bind(**arguments)


@pytest.mark.parametrize(
    "document", [None, [], {"metadata": {"name": "x"}}, {"metadata": {}, "spec": {"worker": {"replicas": 1}}}]
)
def test_a_resource_that_is_no_cluster_is_named(tmp_path: Path, document: object) -> None:
    pods = resource(tmp_path, document)
    with pytest.raises(SearchError, match=r"resource\.yaml: no DaskCluster resource with metadata\.name"):
        kubernetes_arguments(ClusterConfig(kubernetes=pods), pods)


@pytest.mark.parametrize(("extra", "library"), [("ssh", "asyncssh"), ("kubernetes", "dask_kubernetes")])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, library: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == library else find_spec(name))
    pods = resource(tmp_path, {"metadata": {"name": "x"}, "spec": {"worker": {"replicas": 1}}})
    config = ClusterConfig(ssh=Ssh(hosts=("a",))) if extra == "ssh" else ClusterConfig(kubernetes=pods)
    message = rf"cluster\.{extra} needs {library}, which is not installed: pip install 'listening-loop\[{extra}\]'"
    with ExitStack() as stack, pytest.raises(SearchError, match=message):
        connect(config, 1, stack)


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[Ssh]:
    """OpenSSH's server on this machine, and how to log in."""
    sshd = need("sshd")
    if not Path("/run/sshd").is_dir():
        pytest.skip("sshd needs its folder /run/sshd, which only root may make")
    for name in ("host", "own"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True)
    port = free_port()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    settings = {"ListenAddress": "127.0.0.1", "HostKey": tmp_path / "host", "AuthorizedKeysFile": tmp_path / "own.pub"}
    settings |= {"StrictModes": "no", "UsePAM": "no", "PidFile": "none"}
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    with processes() as start:
        server = start(sshd, "-D", "-f", "/dev/null", "-p", str(port), *options, cwd=tmp_path)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, [server])
        yield Ssh(
            hosts=("127.0.0.1",),
            username=getpass.getuser(),
            port=port,
            key=tmp_path / "own",
            known_hosts=known,
            python=sys.executable,
        )


@pytest.mark.slow
@pytest.mark.dask
def test_workers_by_ssh_come_work_and_end_with_the_search(ssh_server: Ssh) -> None:
    config = ClusterConfig(ssh=ssh_server, workers=2, wait_for_workers_s=120)
    with ExitStack() as stack:
        client = connect(config, 1, stack)
        address = str(client.scheduler_info()["address"])
        assert len(client.nthreads()) == 2
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
    host, port = address.removeprefix("tcp://").split(":")

    def is_gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) != 0

    wait_until(is_gone)


@pytest.mark.slow
@pytest.mark.dask
def test_a_host_that_refuses_the_login_is_one_line(ssh_server: Ssh, tmp_path: Path) -> None:
    stranger = ssh_server.model_copy(update={"key": tmp_path / "host"})
    with ExitStack() as stack, pytest.raises(SearchError, match=r"cluster\.ssh: 127\.0\.0\.1: no cluster there \("):
        connect(ClusterConfig(ssh=stranger, wait_for_workers_s=120), 1, stack)
