"""The section `cluster` of a search: which machines it runs on, and how."""

import re
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from pydantic import ByteSize, Field, field_validator, model_validator

from looplib.config import Config, Count, Positive


class Security(Config):
    """TLS with a scheduler that is there: this side's files, in PEM."""

    ca: Path = Field(description="certificate of the authority that the scheduler's certificate must be signed by")
    cert: Path = Field(description="this side's certificate, which the scheduler checks in turn")
    key: Path = Field(description="its private key, not encrypted")


class Ssh(Config):
    """Machines that are reached by SSH: the first runs the scheduler, each runs workers."""

    hosts: Annotated[tuple[Annotated[str, Len(1)], ...], Len(1)] = Field(description="names or addresses")
    username: str | None = Field(default=None, description="whom to log in as; none: as SSH's own configuration says")
    port: Annotated[int, Ge(1), Le(65535)] | None = Field(default=None, description="none: as SSH's own says, or 22")
    key: Path | None = Field(default=None, description="private key to log in with; none: the agent's and ~/.ssh")
    known_hosts: Path | None = Field(default=None, description="file of known host keys; none: ~/.ssh/known_hosts")
    python: str | None = Field(
        default=None, description="the Python that has this package there; none: the same path as here"
    )


class Kubernetes(Config):
    """Pods that the operator of dask-kubernetes starts."""

    spec: Path = Field(description="YAML of a DaskCluster resource, with the image and the shared volumes")
    namespace: str | None = Field(default=None, description="where it is made; none: the current context's")


class ClusterConfig(Config):
    """Where the trials run: processes on this machine, unless a scheduler, hosts or pods are given."""

    scheduler: str | None = Field(default=None, description="an existing Dask scheduler: tcp://HOST:PORT or tls://…")
    security: Security | None = Field(default=None, description="certificates for a scheduler at tls://…")
    ssh: Ssh | None = Field(default=None, description="hosts where a scheduler and workers are started by SSH")
    kubernetes: Kubernetes | None = Field(default=None, description="pods to start")
    workers: Count | None = Field(
        default=None,
        description="processes on this machine (none: cores / threads_per_fit) or on each host of ssh (none: one), "
        "or pods (none: as their spec says)",
    )
    threads_per_fit: Count = Field(default=1, description="threads of one fit")
    fit: Literal["whole", "blocks"] = Field(
        default="whole",
        description="whole: each worker fits a trial; blocks: all workers fit one trial, for models too large for one",
    )
    memory_limit: ByteSize | Literal["auto"] = Field(
        default="auto", description="a process here or by ssh that grows beyond it is killed; auto: its share of memory"
    )
    wait_for_workers_s: Positive = Field(
        default=45.0,
        description="give up after so many seconds without a single worker; those that are started are all waited for "
        "so long",
    )
    dashboard: str = Field(default=":0", description="address of the dashboard; :0 takes a free port")

    @field_validator("scheduler")
    @classmethod
    def _address_has_a_known_protocol(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+/?", address):
            raise ValueError("expected tcp://HOST:PORT or tls://HOST:PORT")
        return address

    @model_validator(mode="after")
    def _one_place(self) -> "ClusterConfig":
        given = [name for name in ("scheduler", "ssh", "kubernetes") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; choose one")
        encrypted = self.scheduler is not None and self.scheduler.startswith("tls://")
        if encrypted and self.security is None:
            raise ValueError(f"{self.scheduler} needs security: ca, cert and key")
        if self.security is not None and not encrypted:
            raise ValueError(f"security belongs to a scheduler at tls://…, and scheduler is {self.scheduler}")
        return self

    @property
    def is_local(self) -> bool:
        """Whether all processes are on this machine, and see what this one sees."""
        return self.scheduler is None and self.ssh is None and self.kubernetes is None
