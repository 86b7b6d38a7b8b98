"""The image and the manifests of a cluster fit each other; `tests.manifests` checks schemas."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from listening_loop.command import STEPS

FOLDER = Path("deploy/kubernetes")
DOCKERFILE = Path("deploy/Dockerfile").read_text()


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {
        manifest["kind"]: manifest["spec"]
        for path in FOLDER.glob("*.yaml")
        for manifest in yaml.safe_load_all(path.read_text())
    }


def pods(manifests: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = manifests["DaskCluster"]
    yield cluster["scheduler"]["spec"]
    yield cluster["worker"]["spec"]
    yield manifests["Job"]["template"]["spec"]


def test_scheduler_workers_and_search_run_one_image_confined(
    manifests: dict[str, Any],
) -> None:
    (uid,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    images = set()
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == int(uid)
        (container,) = pod["containers"]
        images.add(container["image"])
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["resources"]["limits"]["memory"]
    assert len(images) == 1


def test_the_search_asks_the_scheduler_that_only_the_cluster_reaches(
    manifests: dict[str, Any],
) -> None:
    (cluster,) = {
        manifests["DaskAutoscaler"]["cluster"],
        manifests["DaskCluster"]["scheduler"]["service"]["selector"][
            "dask.org/cluster-name"
        ],
        manifests["NetworkPolicy"]["podSelector"]["matchLabels"][
            "dask.org/cluster-name"
        ],
    }
    job = manifests["Job"]["template"]
    (search,) = job["spec"]["containers"]
    assert f"--scheduler=tcp://{cluster}-scheduler:8786" in search["args"]
    assert search["args"][:2] == ["listening-loop", "search"]
    assert "search" in STEPS
    (allowed,) = manifests["NetworkPolicy"]["ingress"]
    labels = [one.get("podSelector", {}).get("matchLabels") for one in allowed["from"]]
    assert job["metadata"]["labels"] in labels
