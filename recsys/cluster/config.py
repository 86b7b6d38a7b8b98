"""The configuration of the cluster."""

from typing import Literal

from pydantic import Field

from looplib.config import Config, Count


class ClusterConfig(Config):
    """The cluster: processes of this machine, or workers of a running scheduler."""

    scheduler: str | None = Field(None, pattern=r"^(tcp|tls)://[^\s/]+:\d+/?$")
    """tcp://HOST:PORT or tls://…; none: processes here"""
    workers: Count | None = None
    """processes on this machine; none: as many as cores, and for fewer than 200,000 plays this
    process alone. If fewer fits are left, they share the cores"""
    fit: Literal["whole", "blocks"] = "whole"
    """a trial a worker, or one on all of them"""
