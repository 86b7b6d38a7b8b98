"""The configuration of the cluster."""

from typing import Literal

from pydantic import ByteSize, Field

from looplib.config import Config, Count, Positive


class ClusterConfig(Config):
    """Where the trials run: on processes of this machine, or on workers of a running scheduler."""

    scheduler: str | None = Field(None, pattern=r"^(tcp|tls)://[^\s/]+:\d+/?$")
    """tcp://HOST:PORT or tls://…; none: processes here"""
    workers: Count | None = None
    """processes on this machine; none: cores / threads_per_fit"""
    threads_per_fit: Count = 1
    """threads of one fit; where fewer fits are left than processes here, they share the cores"""
    fit: Literal["whole", "blocks"] = "whole"
    """a trial a worker, or one on all of them"""
    memory_limit: ByteSize | Literal["auto"] = "auto"
    """a process here that grows beyond it is killed; auto: its share of memory"""
    wait_for_workers_s: Positive = 45.0
    """give up after so many seconds without a worker"""
