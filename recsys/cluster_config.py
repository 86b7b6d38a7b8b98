"""The sections of `cluster` that say which machines a search runs on, beside this one."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, Len
from pydantic import Field

from common.config import Config


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
